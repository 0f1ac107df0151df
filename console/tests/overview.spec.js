import { expect, open, settled, test } from './fixtures.js';
import { call, ended } from './server.js';

test('an empty server says what to do first', async ({ page, nothing }) => {
  await open(page, nothing);
  await expect(page.getByText('There is no source yet')).toBeVisible();
  await expect(page.getByText(/curl -X PUT .*\/catalog\/v1\/sources\/clinic/)).toBeVisible();
  await expect(page.getByText('No tasks yet')).toBeVisible();
});

test('sources are shown with their records by type', async ({ page, airports }) => {
  await open(page, airports);
  const card = page.getByRole('article', { name: 'Source airports' });
  const row = (type) => card.getByRole('row').filter({ has: page.getByRole('link', { name: type, exact: true }) });
  await expect(row('country').getByRole('cell').last()).toHaveText('250');
  await expect(row('subdivision').getByRole('cell').last()).toHaveText('5,046');
  await expect(row('subdivision-in-country').getByRole('cell').last()).toHaveText('5,046');
  // Many are counted to the end when that is asked for.
  const more = card.getByRole('button', { name: 'more than 20,000 airport; count all of them' });
  await expect(more).toHaveText('20,000+');
  await more.click();
  await expect(row('airport').getByRole('cell').last()).toHaveText(/^28,\d{3}$/);
  await card.getByRole('link', { name: 'airports', exact: true }).click();
  await settled(page);
  await expect(page.getByRole('heading', { level: 1, name: 'airports' })).toBeVisible();
});

test('tasks are shown as they come, and operations a second as they are applied', async ({ page, clinic }) => {
  await open(page, clinic);
  const chart = page.getByRole('img', { name: /operations a second: .* in the last two minutes/ });
  await expect(chart).toHaveAttribute('aria-label', /: 0 now, at most 0/);
  const lines = Array.from({ length: 60_000 }, (_, at) => JSON.stringify({ action: 'UPSERT', upsert: { type: 'site', id: `over-${at}`, data: { name: `Site ${at}` } } }));
  const { taskId } = await call(clinic, 'POST', '/sources/clinic/v1/resources/bulk', lines.join('\n'), { type: 'application/x-ndjson' });
  await expect(page.getByRole('link', { name: `Task ${taskId} of clinic` })).toBeVisible();
  await expect(chart).toHaveAttribute('aria-label', /at most [1-9]/);
  await ended(clinic, 'clinic', taskId);
  const row = page.getByRole('row').filter({ has: page.getByRole('link', { name: `Task ${taskId} of clinic` }) });
  await expect(row.getByText('all succeeded')).toBeVisible();
  await expect(row.getByRole('img')).toHaveAttribute('aria-label', '60,000 succeeded, 0 failed, 0 cancelled of 60,000');
});
