// Every view, in both themes and a narrow window: no fault that axe knows, nothing that scrolls sideways. With
// GRANARY_CONSOLE_PICTURES set to a folder they are photographed as well.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, open, sound, test } from './fixtures.js';
import { EXAMPLES, call } from './server.js';

async function failedTask(server) {
  const { data } = await call(server, 'GET', '/sources/airports/v1/tasks?outcome=PARTIAL');
  return data[0].taskId;
}

/** Each view: its name, its address, and what is done there before it is looked at. */
const VIEWS = [
  ['overview', () => '', (page) => expect(page.getByRole('cell', { name: '5,046', exact: true }).first()).toBeVisible()],
  ['source', () => 'sources/airports', (page) => expect(page.getByRole('cell', { name: '5,046', exact: true }).first()).toBeVisible()],
  ['profile', () => 'sources/airports/profiles/airport'],
  ['editor', () => 'sources/airports/profiles/runway?edit=1', async (page) => {
    const editor = page.getByRole('textbox', { name: 'profile runway as JSON' });
    await editor.fill((await editor.inputValue()).replace('"integer"', '"intger"').replace('"1:*"', '"1:5"'));
    await page.getByRole('button', { name: 'Save' }).click();
    await expect(page.locator('.fault-list li')).toHaveCount(2);
  }],
  ['relationship', () => 'sources/airports/relationship-definitions/airport-in-subdivision'],
  ['list', () => 'sources/airports/data/airport'],
  ['edges', () => 'sources/airports/edges/airport-in-subdivision'],
  ['edge', () => 'sources/airports/edges/airport-in-subdivision/KSFO.US-CA'],
  ['record', () => 'sources/airports/data/airport/EGLL', (page) => expect(page.locator('.walk .muted').first()).not.toHaveText('')],
  ['missing', () => 'sources/airports/data/airport/NONE'],
  ['tasks', () => 'sources/airports/tasks'],
  ['task', async (server) => `sources/airports/tasks/${await failedTask(server)}`, async (page) => {
    await page.locator('button.reason').first().click();
    await expect(page.locator('li.faulty').first()).toBeVisible();
  }],
  ['upload', () => 'sources/airports/upload', async (page) => {
    await page.getByLabel('or choose one').setInputFiles({ name: 'airports.csv', mimeType: 'text/csv', buffer: Buffer.from(CSV) });
    await page.getByRole('button', { name: 'Check it' }).click();
    await page.locator('button.reason').first().click();
    await expect(page.locator('tr.faulty').first()).toBeVisible();
  }],
  ['rejected', () => 'sources/airports/upload', async (page) => {
    await page.getByLabel('or choose one').setInputFiles({ name: 'invalid.json', mimeType: 'application/json', buffer: readFileSync(join(EXAMPLES, 'invalid.json')) });
    await page.getByRole('button', { name: 'Check it' }).click();
    await page.locator('button.reason').first().click();
    await expect(page.locator('li.faulty').first()).toBeVisible();
  }],
];

const CSV = `id,Name,icao,address.city,address.country,location.latitude,location.longitude,elevation ft,timeZone
ENGM,Oslo Gardermoen,ENGM,Oslo,NO,60.1939,11.1004,681,Europe/Oslo
ENBR,Bergen Flesland,ENBR,Bergen,Norway,60.2934,5.2181,170,Europe/Oslo
ENTC,Tromsø Langnes,ENT,Tromsø,NO,69.6833,18.9189,31,Europe/Oslo
`;

for (const theme of ['light', 'dark']) {
  for (const [width, height] of [[1280, 860], [390, 780]]) {
    test.describe(`${theme}, ${width} wide`, () => {
      test.use({ colorScheme: theme, viewport: { width, height } });
      for (const [name, address, act] of VIEWS) {
        test(name, async ({ page, airports }) => {
          await open(page, airports, await address(airports));
          if (act) await act(page);
          await sound(page, name);
          const folder = process.env.GRANARY_CONSOLE_PICTURES;
          if (folder) await page.screenshot({ path: join(folder, `${name}-${theme}-${width}.png`), fullPage: width < 500 });
        });
      }
    });
  }
}

test('an empty server and the question for a key', async ({ page, nothing }) => {
  await open(page, nothing);
  await sound(page, 'nothing');
  await page.evaluate(() => document.getElementById('key-dialog').showModal());
  await sound(page, 'key');
});

test('the theme follows the system until one is chosen, and stays', async ({ page, nothing }) => {
  const background = () => page.evaluate(() => getComputedStyle(document.body.parentElement).backgroundColor);
  await page.emulateMedia({ colorScheme: 'light' });
  await open(page, nothing);
  const light = await background();
  await page.emulateMedia({ colorScheme: 'dark' });
  const dark = await background();
  expect(dark).not.toBe(light);
  await page.getByRole('button', { name: 'Switch to the light theme' }).click();
  expect(await background()).toBe(light);
  await page.reload();
  await expect(page.getByRole('button', { name: 'Switch to the dark theme' })).toBeVisible();
  expect(await background()).toBe(light);
});

test('all of it works by the keyboard alone', async ({ page, airports }) => {
  await open(page, airports, `sources/airports/tasks/${await failedTask(airports)}`);
  const focused = (selector) => expect(page.locator(':focus')).toHaveAttribute(...selector);
  await page.keyboard.press('Tab');
  await focused(['id', 'skip']);
  await page.keyboard.press('Enter');
  await expect(page.locator('main')).toBeFocused();
  const reason = page.locator('button.reason').first();
  while (!(await reason.evaluate((one) => one === document.activeElement))) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await expect(page.locator('li.faulty').first()).toBeVisible();

  await open(page, airports, 'sources/airports');
  const node = page.getByRole('link', { name: /^country .*, profile$/ });
  while (!(await node.evaluate((one) => one === document.activeElement))) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1, name: 'country' })).toBeVisible();
  await expect(page.locator('main')).toBeFocused();
});
