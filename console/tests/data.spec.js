import { expect, open, settled, test } from './fixtures.js';
import { call } from './server.js';

test('records are listed page by page', async ({ page, airports }) => {
  await open(page, airports, 'sources/airports/data/country');
  const rows = page.getByRole('region', { name: 'Records of country' }).getByRole('row');
  await expect(rows).toHaveCount(51);
  await expect(rows.nth(1)).toContainText('Andorra');
  await page.getByRole('link', { name: 'Next page' }).click();
  await expect(rows.nth(1)).not.toContainText('Andorra');
  await settled(page);
  await page.getByRole('link', { name: 'First page' }).click();
  await expect(rows.nth(1)).toContainText('Andorra');
  await page.getByLabel('Type').selectOption('subdivision');
  await expect(page.getByRole('link', { name: 'AD-02' })).toBeVisible();
});

test('records are found by identifier and by id, edges by their ends', async ({ page, airports }) => {
  await open(page, airports, 'sources/airports/data/airport');
  await page.getByLabel('Identifier: system').fill('https://iata.org/codes');
  await page.getByLabel('value').fill('LHR');
  await page.getByLabel('use').fill('official');
  await page.getByRole('button', { name: 'Filter' }).click();
  const rows = page.getByRole('region', { name: 'Records of airport' }).getByRole('row');
  await expect(rows).toHaveCount(2);
  await expect(rows.nth(1)).toContainText('EGLL');
  await page.getByLabel('value').fill('no such');
  await page.getByRole('button', { name: 'Filter' }).click();
  await expect(page.getByText('No record is like that')).toBeVisible();
  await page.getByLabel('Open the one with id').fill('KSFO');
  await page.getByRole('button', { name: 'Open' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('KSFO');

  await open(page, airports, 'sources/airports/edges/subdivision-in-country');
  await page.getByLabel('To: id of country').fill('LU');
  await page.getByRole('button', { name: 'Filter' }).click();
  const edges = page.getByRole('region', { name: 'Edges of subdivision-in-country' });
  await expect(edges.getByRole('row')).toHaveCount(13);
  await edges.getByRole('link', { name: /^Edge / }).first().click();
  await settled(page);
  await expect(page.getByRole('heading', { name: /^to LU/ })).toBeVisible();
  await expect(page.getByText('Luxembourg').first()).toBeVisible();
});

test('a record is shown with what it contains, its meta and its edges, and one walks along them', async ({ page, airports }) => {
  await open(page, airports, 'sources/airports/data/airport/KSFO');
  await expect(page.getByText('San Francisco').first()).toBeVisible();
  // Digits are those that are stored.
  const stored = await (await fetch(`${airports.url}/sources/airports/v1/resources/airport/KSFO`)).text();
  const [, latitude] = /"latitude":(-?[\d.]+)/.exec(stored);
  await expect(page.getByText(latitude, { exact: true }).first()).toBeVisible();
  const runways = page.getByRole('region', { name: 'contained runways' });
  await expect(runways.getByText('10L-28R', { exact: true })).toBeVisible();
  await expect(runways.getByRole('group', { name: 'contained ends' }).first()).toContainText('01L');
  await expect(page.getByRole('region', { name: 'Meta' })).toContainText('https://icao.int/doc7910');

  const edges = page.getByRole('region', { name: 'Relationships' });
  await expect(edges.getByRole('heading', { name: /^liesIn 0:1/ })).toBeVisible();
  await edges.getByRole('link', { name: 'US-CA', exact: true }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('US-CA');
  // From there back to airports, in the other direction.
  await expect(edges.getByRole('heading', { name: /^airports 0:\*/ })).toBeVisible();
  await expect(edges.getByRole('link', { name: 'more than 12: show them all' })).toBeVisible();
  await edges.getByRole('link', { name: 'US', exact: true }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('US');
  await expect(page.locator('.lead')).toHaveText('United States of America');
  await page.goBack();
  await page.goBack();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('KSFO');
});

test('what is stored is text, whatever it looks like', async ({ page, clinic }) => {
  const markup = '<img src=x onerror="document.title=\'broken\'"><script>document.title="broken"</script>';
  await call(clinic, 'PUT', '/sources/clinic/v1/resources/provider/markup', {
    data: { name: markup, fee: 1.5, specialities: ['<b>bold</b>', 'javascript:alert(1)'] },
    meta: { identifier: [{ value: '<i>x</i>', system: 'javascript:alert(1)' }] },
  });
  await call(clinic, 'PUT', '/sources/clinic/v1/profiles/marked', { description: '<svg onload=alert(1)>', properties: { a: { type: 'symbol', description: '<b>x</b>' } } });
  for (const address of ['data/provider', 'data/provider/markup', 'profiles/marked', '']) {
    await open(page, clinic, `sources/clinic/${address}`);
    expect(await page.title()).not.toContain('broken');
    expect(await page.locator('main img, main script, main b, main i').count(), address).toBe(0);
    expect(await page.locator('a[href^="javascript:"]').count()).toBe(0);
  }
  await open(page, clinic, 'sources/clinic/data/provider/markup');
  await expect(page.locator('dd').filter({ hasText: markup }).first()).toBeVisible();
  await call(clinic, 'DELETE', '/sources/clinic/v1/profiles/marked');
});

test('a record that is not there says so, and numbers are shown digit by digit', async ({ page, clinic }) => {
  await open(page, clinic, 'sources/clinic/data/provider/nobody');
  await expect(page.getByRole('alert')).toContainText('404 NOT_FOUND');
  await call(clinic, 'PUT', '/sources/clinic/v1/resources/provider/digits', '{"data": {"name": "D", "fee": 12345678901234567890.1200}}');
  await open(page, clinic, 'sources/clinic/data/provider/digits');
  await expect(page.getByText('12345678901234567890.1200', { exact: true }).first()).toBeVisible();
});
