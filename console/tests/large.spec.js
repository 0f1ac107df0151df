// A large task with many failures: the page stays small and answers. GRANARY_CONSOLE_OPERATIONS says how large;
// 1,000,000 have 50,000 failures.

import { join } from 'node:path';
import { expect, open, test } from './fixtures.js';
import { clinic, ended, serve } from './server.js';

const OPERATIONS = Number(process.env.GRANARY_CONSOLE_OPERATIONS ?? 200_000);
/** One in so many fails. */
const FAILING = 20;
/** The most elements that a page may have, whatever the task has. */
const ELEMENTS_MAX = 1_500;

let server;
let taskId;

test.beforeAll(async () => {
  test.setTimeout(600_000);
  server = await serve();
  await clinic(server);
  const body = new ReadableStream({
    start() {
      this.at = 0;
    },
    pull(controller) {
      const lines = [];
      for (const until = Math.min(OPERATIONS, this.at + 10_000); this.at < until; this.at += 1) {
        const { at } = this;
        // Of those that fail three in five are taken already, and two are not there.
        if (at % FAILING !== FAILING - 1) lines.push(`{"action":"CREATE","create":{"type":"site","id":"site-${at}","data":{"name":"Site ${at}"}}}`);
        else if (at % (5 * FAILING) < 3 * FAILING) lines.push(`{"action":"CREATE","create":{"type":"site","id":"site-0","data":{"name":"Site ${at}"}}}`);
        else lines.push(`{"action":"DELETE","delete":{"type":"site","id":"gone-${at}"}}`);
      }
      controller.enqueue(new TextEncoder().encode(`${lines.join('\n')}\n`));
      if (this.at >= OPERATIONS) controller.close();
    },
  });
  const answer = await fetch(`${server.url}/sources/clinic/v1/resources/bulk`, { method: 'POST', body, duplex: 'half', headers: { 'content-type': 'application/x-ndjson' } });
  ({ taskId } = await answer.json());
});
test.afterAll(() => server.stop());

const elements = (page) => page.evaluate(() => document.querySelectorAll('*').length);

test('a large task is followed to its end, and its failures are read without filling the page', async ({ page }) => {
  test.setTimeout(600_000);
  await open(page, server, `sources/clinic/tasks/${taskId}`);
  const { counts } = await ended(server, 'clinic', taskId);
  const failures = OPERATIONS / FAILING;
  expect(counts).toMatchObject({ total: OPERATIONS, success: OPERATIONS - failures, failure: failures });
  const state = page.getByRole('region', { name: 'Failures by reason' }).getByRole('status');
  // While they are read the page answers.
  const button = page.locator('#theme-button');
  await button.click();
  await expect(button).toHaveAccessibleName('Switch to the light theme');
  await button.click();
  await expect(button).toHaveAccessibleName('Switch to the dark theme');
  await expect(state).toHaveText(`${failures.toLocaleString('en')} failures, all read`);

  const shown = (n) => n.toLocaleString('en');
  const reasons = page.locator('button.reason');
  await expect(reasons).toHaveCount(2);
  await expect(reasons.nth(0)).toContainText(`${shown((failures * 3) / 5)}ALREADY_EXISTS`);
  await expect(reasons.nth(1)).toContainText(`${shown((failures * 2) / 5)}NOT_FOUND`);
  expect(await elements(page)).toBeLessThan(ELEMENTS_MAX);

  await reasons.nth(1).click();
  await expect(page.getByText(`operations 1 to 20 of ${shown((failures * 2) / 5)}`)).toBeVisible();
  await expect(page.locator('li.faulty mark')).toHaveText('"gone-79"');
  const folder = process.env.GRANARY_CONSOLE_PICTURES;
  if (folder) await page.screenshot({ path: join(folder, 'large.png') });
  await page.getByRole('button', { name: 'More', exact: true }).click();
  await expect(page.getByText('operations 21 to 40 of')).toBeVisible();
  await expect(page.locator('li.faulty mark')).toHaveText(/"gone-\d+"/);
  const receipts = page.getByRole('region', { name: 'Receipts' }).first();
  await receipts.getByRole('button', { name: 'failure' }).click();
  await receipts.getByRole('button', { name: 'Next page' }).click();
  await expect(receipts.getByRole('row')).toHaveCount(26);
  expect(await elements(page)).toBeLessThan(ELEMENTS_MAX);
});

test('reading is stopped, and goes on where it was', async ({ page }) => {
  const { counts } = await ended(server, 'clinic', taskId);
  // So slowly that it takes most of a minute to read all failures.
  const network = await page.context().newCDPSession(page);
  const bytesASecond = (downloadThroughput) =>
    network.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput, uploadThroughput: -1 });
  await network.send('Network.enable');
  await bytesASecond((counts.failure * 250) / 50);
  await open(page, server, `sources/clinic/tasks/${taskId}`);
  const section = page.getByRole('region', { name: 'Failures by reason' });
  await section.getByRole('button', { name: 'Stop' }).click();
  await expect(section.getByRole('status')).toContainText('the first ');
  await bytesASecond(-1);
  await section.getByRole('button', { name: 'read on' }).click();
  await expect(section.getByRole('status')).toHaveText(`${counts.failure.toLocaleString('en')} failures, all read`);
  await expect(section.locator('button.reason').first()).toContainText(((counts.failure * 3) / 5).toLocaleString('en'));
});
