import { gzipSync } from 'node:zlib';
import { expect, open, settled, test } from './fixtures.js';
import { call, ended } from './server.js';

const BULK = '/sources/clinic/v1/resources/bulk';
const NDJSON = { type: 'application/x-ndjson' };

/** Three million upserts, with the same bytes every ten thousand, as gzip. */
function many() {
  const lines = Array.from({ length: 10_000 }, (_, at) => `{"action":"UPSERT","upsert":{"type":"site","id":"slow-${at}","data":{"name":"Site ${at}"}}}\n`).join('');
  return gzipSync(lines.repeat(300), { level: 1 });
}

test('tasks are listed and filtered', async ({ page, airports }) => {
  await open(page, airports, 'sources/airports/tasks');
  const rows = page.getByRole('region', { name: 'Tasks' }).getByRole('row');
  await expect(rows.filter({ hasText: 'some failed' })).toHaveCount(1);
  await expect(rows.filter({ hasText: 'all succeeded' }).first()).toBeVisible();
  await page.getByLabel('Outcome').selectOption('PARTIAL');
  await expect(page).toHaveURL(/outcome=PARTIAL/);
  await expect(rows).toHaveCount(2);
  await page.getByLabel('Status').selectOption('CANCELLED');
  await expect(page.getByText('No task is like that')).toBeVisible();
});

test('failures are grouped by reason, and the operation is shown with its fault at its place', async ({ page, airports }) => {
  await open(page, airports, 'sources/airports/tasks?outcome=PARTIAL');
  await page.getByRole('region', { name: 'Tasks' }).getByRole('link').first().click();
  await settled(page);
  const failures = page.getByRole('region', { name: 'Failures by reason' });
  await expect(failures.getByRole('status')).toHaveText(/failures, all read$/);
  const taken = failures.getByRole('button', { name: /ALREADY_EXISTS/ });
  await expect(taken).toContainText("record with id 'EGLL' already exists");
  await taken.click();
  await expect(taken).toHaveAttribute('aria-expanded', 'true');
  const faulty = failures.locator('li.faulty');
  await expect(faulty).toHaveCount(1);
  await expect(faulty.locator('mark')).toHaveText(/^"[A-Z-]{2,6}"$/);
  await expect(faulty.getByRole('note')).toContainText('/create/id: record with id');
  const receipts = page.getByRole('region', { name: 'Receipts' }).first();
  await receipts.getByRole('button', { name: 'failure' }).click();
  await expect(receipts.getByText('failure', { exact: true }).first()).toBeVisible();
  await receipts.getByRole('button', { name: /^Operation / }).first().click();
  await expect(receipts.locator('ol.code')).toBeVisible();
});

test('a fault that its receipt does not point to is marked at the id that it is about', async ({ page, clinic }) => {
  const operations = [
    { action: 'CREATE', create: { type: 'provider', id: 'kept-1', data: { name: 'Ada' } } },
    { action: 'CREATE', create: { type: 'provider', id: 'kept-1', data: { name: 'Another Ada' } } },
  ];
  const { taskId } = await call(clinic, 'POST', BULK, { operations });
  await ended(clinic, 'clinic', taskId);
  await open(page, clinic, `sources/clinic/tasks/${taskId}`);
  await expect(page.getByText('some failed')).toBeVisible();
  await page.getByRole('button', { name: /ALREADY_EXISTS/ }).click();
  await expect(page.locator('li.faulty mark')).toHaveText('"kept-1"');
});

test('progress is live, and what is under way is cancelled and tried again', async ({ page, clinic }) => {
  const { taskId: running } = await call(clinic, 'POST', BULK, many(), { ...NDJSON, encoding: 'gzip' });
  const last = await call(clinic, 'POST', BULK, { operations: [{ action: 'UPSERT', upsert: { type: 'site', id: 'last', data: { name: 'Last' } } }] });

  await open(page, clinic, `sources/clinic/tasks/${last.taskId}`);
  await expect(page.getByText('waiting')).toBeVisible();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'No' }).click();
  await expect(page.getByText('waiting')).toBeVisible();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel the task' }).click();
  await expect(page.locator('.chip').first()).toHaveText('cancelled');

  await open(page, clinic, `sources/clinic/tasks/${running}`);
  const left = page.locator('dl.tiles div').filter({ hasText: 'time left' });
  await expect(left).toHaveText(/time leftabout /);
  await expect(page.locator('dl.tiles div').filter({ hasText: 'operations a second' })).toHaveText(/\d/);
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel the task' }).click();
  await expect(page.locator('.chip').first()).toHaveText('cancelled');
  const cancelled = await ended(clinic, 'clinic', running);
  await expect(page.locator('dl.tiles div').filter({ hasText: /^cancelled/ })).toContainText(cancelled.counts.cancelled.toLocaleString('en'));

  await open(page, clinic, `sources/clinic/tasks/${last.taskId}`);
  await page.getByRole('button', { name: 'Retry 1 operation' }).click();
  await expect(page.getByText('a retry of')).toBeVisible();
  await expect(page.getByText('all succeeded')).toBeVisible();
  expect((await call(clinic, 'GET', '/sources/clinic/v1/resources/site/last')).data.name).toBe('Last');
});

test('a retry that would not be accepted any more says why', async ({ page, clinic }) => {
  await call(clinic, 'PUT', '/sources/clinic/v1/profiles/visit', { properties: { note: { type: 'symbol' } } });
  const operation = (id) => ({ action: 'CREATE', create: { type: 'visit', id, data: { note: 'x' } } });
  const { taskId } = await call(clinic, 'POST', BULK, { operations: [operation('v1'), operation('v1')] });
  await ended(clinic, 'clinic', taskId);
  await call(clinic, 'PUT', '/sources/clinic/v1/profiles/visit', { properties: { note: { type: 'symbol', rules: [{ min: 5 }] } } });
  await open(page, clinic, `sources/clinic/tasks/${taskId}`);
  await page.getByRole('button', { name: 'Retry 1 operation' }).click();
  await expect(page.getByRole('alert')).toContainText('1 operation would not be accepted');
});

test('a task that is not there says so', async ({ page, clinic }) => {
  await open(page, clinic, 'sources/clinic/tasks/bk_none');
  await expect(page.getByRole('alert')).toContainText('404 NOT_FOUND');
});
