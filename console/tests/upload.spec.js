import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, open, test } from './fixtures.js';
import { EXAMPLES, call } from './server.js';

const file = (name, text) => ({ name, mimeType: 'application/octet-stream', buffer: Buffer.from(text) });

async function choose(page, server, chosen) {
  await open(page, server, 'sources/clinic/upload');
  await page.getByLabel('or choose one').setInputFiles(chosen);
}

const check = (page) => page.getByRole('button', { name: 'Check it' }).click();
const send = (page) => page.getByRole('button', { name: 'Send it' }).click();

test('a CSV is dropped, fits a profile, is mapped, checked, sent and watched', async ({ page, clinic }) => {
  await open(page, clinic, 'sources/clinic/upload');
  // Semicolons, a column that the profile does not know, one that is called otherwise.
  const text = 'id;NAME;practice number;Years;address.city\ncsv-1;Ada;7;x;Oslo\ncsv-2;"Bob; B";8;y;"Ber""gen"\n';
  const data = await page.evaluateHandle((csv) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([csv], 'providers.csv'));
    return transfer;
  }, text);
  await page.locator('.drop').dispatchEvent('drop', { dataTransfer: data });
  await expect(page.getByRole('heading', { name: /^providers.csv/ })).toBeVisible();
  await expect(page.getByRole('combobox', { name: 'Type' })).toHaveValue('resources/provider');
  const column = (name) => page.getByRole('combobox', { name: `Column ${name} is` });
  await expect(column('NAME')).toHaveValue('name');
  await expect(column('practice number')).toHaveValue('practiceNumber');
  await expect(column('Years')).toHaveValue('');
  await column('Years').selectOption('fee');
  await check(page);
  await expect(page.getByText('Rejected: 2 operations are not right.')).toBeVisible();
  await column('Years').selectOption('');
  await check(page);
  await expect(page.getByText('All 2 operations fit.')).toBeVisible();
  expect((await call(clinic, 'GET', '/sources/clinic/v1/resources/provider?limit=1000')).data.map(({ id }) => id)).not.toContain('csv-1');
  await send(page);
  await expect(page).toHaveURL(/\/tasks\/bk_/);
  await expect(page.getByText('all succeeded')).toBeVisible();
  const stored = await call(clinic, 'GET', '/sources/clinic/v1/resources/provider/csv-2');
  expect(stored.data).toEqual({ name: 'Bob; B', practiceNumber: 8, address: { city: 'Ber"gen' } });
});

test('faults of a CSV are grouped by reason and shown at their cells', async ({ page, clinic }) => {
  const rows = Array.from({ length: 3000 }, (_, at) => `row-${at},${at % 3 === 0 ? '' : `Name ${at}`},${at % 10 === 0 ? 'seven' : at + 1}`);
  await choose(page, clinic, file('faults.csv', `id,name,practiceNumber\n${rows.join('\n')}\n`));
  await check(page);
  await expect(page.getByText('Rejected: 1,200 operations are not right.')).toBeVisible();
  const faults = page.getByRole('region', { name: 'Faults' });
  const number = faults.getByRole('button', { name: /'…' is not an integer/ });
  await expect(number).toBeVisible();
  await number.click();
  await faults.getByRole('button', { name: 'Operation 10', exact: true }).click();
  const cells = faults.getByRole('group', { name: 'Row' });
  await expect(cells.getByRole('row').filter({ hasText: 'row-10' })).toBeVisible();
  const faulty = cells.locator('tr.faulty');
  await expect(faulty).toHaveCount(1);
  await expect(faulty.locator('mark')).toHaveText('seven');
  await expect(faulty).toContainText("'seven' is not an integer");
});

test('NDJSON records are sent with the action that was chosen, digits as they are', async ({ page, clinic }) => {
  await choose(page, clinic, file('people.ndjson', '{"id": "nd-1", "data": {"name": "Ada", "fee": 1.10}}\n{"id": "nd-2", "name": "Bob"}\n'));
  await expect(page.getByRole('combobox', { name: 'Type' })).toHaveValue('resources/provider');
  await page.getByLabel('Action').selectOption('UPSERT');
  await send(page);
  await expect(page.getByText('all succeeded')).toBeVisible();
  const stored = await (await fetch(`${clinic.url}/sources/clinic/v1/resources/provider/nd-1`)).text();
  expect(stored).toContain('"fee":1.10');
  await choose(page, clinic, file('people.json', '[{"id": "nd-2"}]'));
  await page.getByRole('combobox', { name: 'Type' }).selectOption('resources/provider');
  await page.getByLabel('Action').selectOption('DELETE');
  await send(page);
  await expect(page.getByText('all succeeded')).toBeVisible();
  expect((await fetch(`${clinic.url}/sources/clinic/v1/resources/provider/nd-2`)).status).toBe(404);
});

test('relationships are known by their ends', async ({ page, clinic }) => {
  for (const [type, id] of [['provider', 'end-a'], ['site', 'end-b']]) await call(clinic, 'PUT', `/sources/clinic/v1/resources/${type}/${id}`, { data: { name: id } });
  await choose(page, clinic, file('works.csv', 'from,to,since\nend-a,end-b,2019-04\n'));
  await expect(page.getByRole('combobox', { name: 'Type' })).toHaveValue('relationships/worksAt');
  await check(page);
  await expect(page.getByText('All 1 operation fit.')).toBeVisible();
  await send(page);
  await expect(page.getByText('all succeeded')).toBeVisible();
  expect((await call(clinic, 'GET', '/sources/clinic/v1/relationships/worksAt/end-a.end-b')).data).toEqual({ since: '2019-04' });
});

test('a bulk request as JSON is checked, with each fault at its place in the operation', async ({ page, airports }) => {
  await open(page, airports, 'sources/airports/upload');
  await page.getByLabel('or choose one').setInputFiles(file('invalid.json', readFileSync(join(EXAMPLES, 'invalid.json'))));
  await expect(page.getByText('JSON, a bulk request')).toBeVisible();
  await check(page);
  await expect(page.getByText(/^Rejected: \d+ operations are not right\.$/)).toBeVisible();
  const faults = page.getByRole('region', { name: 'Faults' });
  await faults.getByRole('button', { expanded: false }).first().click();
  await expect(faults.getByRole('note').first()).toContainText('/create/');
  await expect(faults.locator('li.faulty').first()).toBeVisible();
});

test('a file that is none of them says what to do', async ({ page, clinic }) => {
  await choose(page, clinic, file('x.ndjson.gz', 'xx'));
  await expect(page.getByRole('alert')).toContainText('send it by the command line');
  await choose(page, clinic, file('x.json', '{"a": '));
  await expect(page.getByRole('alert')).toContainText('begins like JSON and is none');
  await choose(page, clinic, file('x.csv', ''));
  await expect(page.getByRole('alert')).toContainText('the file is empty');
});
