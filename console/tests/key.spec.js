import { expect, test } from './fixtures.js';
import { call, clinic, key, serve } from './server.js';

let server;
let admin;

test.beforeAll(async () => {
  server = await serve();
  admin = await key(server, 'admin');
  await clinic(server, { key: admin });
});
test.afterAll(() => server.stop());

const dialog = (page) => page.getByRole('dialog', { name: 'This server asks for a key' });

async function giveKey(page, given) {
  await dialog(page).getByLabel('API key').fill(given);
  await dialog(page).getByRole('button', { name: 'Use the key' }).click();
}

test('a key is asked for where one is needed, and kept for the tab', async ({ page, context }) => {
  await page.goto(`${server.url}/#/`);
  await expect(dialog(page)).toContainText('the call carries no key');
  await giveKey(page, `${admin.slice(0, -3)}xxx`);
  await expect(dialog(page)).toContainText(/the key is not valid|is not a key/);
  await giveKey(page, admin);
  await expect(page.getByRole('article', { name: 'Source clinic' })).toBeVisible();
  await expect(dialog(page)).toBeHidden();
  await page.reload();
  await expect(page.getByRole('article', { name: 'Source clinic' })).toBeVisible();
  expect(await page.evaluate(() => [sessionStorage.length, localStorage.length])).toEqual([1, 0]);
  const other = await context.newPage();
  await other.goto(`${server.url}/#/`);
  await expect(dialog(other)).toBeVisible();
  await other.close();
  await page.getByRole('button', { name: 'Key' }).click();
  await page.getByRole('button', { name: 'Forget the key' }).click();
  await expect(dialog(page)).toContainText('the call carries no key');
});

test('who has no key is told so once, and may give one later', async ({ page }) => {
  await page.goto(`${server.url}/#/`);
  await dialog(page).getByRole('button', { name: 'Not now' }).click();
  await expect(page.getByRole('alert').first()).toContainText('401 UNAUTHENTICATED');
  await expect(dialog(page)).toBeHidden();
  await page.getByRole('button', { name: 'Key' }).click();
  await giveKey(page, admin);
  await expect(page.getByRole('article', { name: 'Source clinic' })).toBeVisible();
});

test('events and uploads carry the key', async ({ page }) => {
  await page.goto(`${server.url}/#/sources/clinic/upload`);
  await giveKey(page, admin);
  const lines = Array.from({ length: 50_000 }, (_, at) => JSON.stringify({ id: `k-${at}`, name: `Site ${at}` }));
  const events = page.waitForRequest((request) => request.url().endsWith('/events'));
  await page.getByLabel('or choose one').setInputFiles({ name: 'sites.ndjson', mimeType: 'text/plain', buffer: Buffer.from(lines.join('\n')) });
  await page.getByRole('combobox', { name: 'Type' }).selectOption('resources/site');
  await page.getByRole('button', { name: 'Send it' }).click();
  expect((await events).headers()['x-api-key']).toBe(admin);
  expect((await events).url()).not.toContain('granary_');
  await expect(page.getByText('all succeeded')).toBeVisible();
});

test('a key for one source and for reading sees that one, and is told what it may not', async ({ page }) => {
  await call(server, 'PUT', '/catalog/v1/sources/hidden', { type: 'registry' }, { key: admin });
  const reader = await key(server, 'reader', { by: admin, sources: ['clinic'] });
  await page.goto(`${server.url}/#/`);
  await giveKey(page, reader);
  await expect(page.getByRole('article')).toHaveCount(1);
  // The metrics are of all sources.
  await expect(page.getByText('Operations of the tasks of your sources.')).toBeVisible();
  // Of a key that may read them they are shown at once.
  await page.getByRole('button', { name: 'Key' }).click();
  await giveKey(page, admin);
  await expect(page.getByText('Operations of tasks that this server has applied.')).toBeVisible();
  await expect(page.getByRole('article')).toHaveCount(2);
  await page.getByRole('button', { name: 'Key' }).click();
  await giveKey(page, reader);
  await expect(page.getByText('Operations of the tasks of your sources.')).toBeVisible();
  await page.goto(`${server.url}/#/sources/clinic/profiles/site?edit=1`);
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('alert')).toContainText('403 PERMISSION_DENIED');
  await page.goto(`${server.url}/#/sources/hidden`);
  await expect(page.getByRole('alert').first()).toContainText('403 PERMISSION_DENIED');
});
