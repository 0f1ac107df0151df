// What tests are given: servers that are started once a file, and a page that allows no fault of its own.

import AxeBuilder from '@axe-core/playwright';
import { expect, test as base } from '@playwright/test';
import { airports, clinic, serve } from './server.js';

export { expect };

const server = (start) => [
  async ({}, use) => {
    const running = await start();
    await use(running);
    await running.stop();
  },
  { scope: 'worker', timeout: 180_000 },
];

export const test = base.extend({
  /** A server with the airports of the demo. Tests that write make a source of their own. */
  airports: server(airports),
  /** A server with the clinic and nothing in it. */
  clinic: server(async () => {
    const running = await serve();
    await clinic(running);
    return running;
  }),
  /** A server with nothing. */
  nothing: server(serve),
  page: async ({ page }, use) => {
    const faults = [];
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('console', (message) => {
      // That a call was refused is told by the page; anything else is a fault.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) faults.push(message.text());
    });
    page.on('request', (request) => {
      if (new URL(request.url()).hostname !== '127.0.0.1') faults.push(`called ${request.url()}`);
    });
    await use(page);
    expect(faults).toEqual([]);
  },
});

/** No fault that axe knows, and nothing that makes the window scroll sideways. */
export async function sound(page, what) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join('; ')}`);
  expect(told, what).toEqual([]);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(over, `${what}: wider than the window`).toBeLessThanOrEqual(0);
}

/** Opens a view, and waits until it has what it waits for. */
export async function open(page, server, address = '') {
  await page.goto(`${server.url}/#/${address}`);
  await settled(page);
}

export async function settled(page) {
  await expect(page.locator('h1')).toBeVisible();
  await expect(page.locator('[aria-busy=true]')).toHaveCount(0);
}
