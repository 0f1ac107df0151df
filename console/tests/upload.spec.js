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

test('a CSV that has to be rewritten is refused where its cells are not sure', async ({ page, clinic }) => {
  const bytes = (...parts) => ({ name: 'people.csv', mimeType: 'text/csv', buffer: Buffer.concat(parts.map((part) => Buffer.from(part))) });
  for (const [chosen, said] of [
    [bytes('id;name\nlost-1;"Foo\nlost-2;Bar\nlost-3;"Baz"\n'), 'row 2 is no CSV: something follows a closing quote'],
    [bytes('id;name\nlost-1;"Foo\nlost-2;Bar\n'), 'row 2 is no CSV: it opens a quote that is not closed'],
    [bytes('id;name\nlost-1;Foo "Bar"\n'), 'row 2 is no CSV: a quote stands inside a cell'],
    [bytes('id;fax;name\nlost-1;1;Foo\nlost-2;555-12\n'), 'row 3 has 2 cells, and the header 3'],
    [bytes('id;name\nlost-1;M', [0xfc], 'ller\n'), 'the file is not text in UTF-8'],
  ]) {
    await choose(page, clinic, chosen);
    await expect(page.getByRole('combobox', { name: 'Type' })).toHaveValue('resources/provider');
    await send(page);
    await expect(page.getByRole('alert').filter({ hasText: said })).toBeVisible();
  }
  // A row whose one cell is empty is a row.
  await choose(page, clinic, bytes('name;fax\nFoo;1\n;2\n'));
  await check(page);
  await expect(page.getByText('Rejected: 1 operation is not right.')).toBeVisible();
  const ids = (await call(clinic, 'GET', '/sources/clinic/v1/resources/provider?limit=1000')).data.map(({ id }) => id);
  expect(ids.filter((id) => id.startsWith('lost'))).toEqual([]);
});

test('nothing of a JSON record is left out', async ({ page, clinic }) => {
  for (const [text, said] of [
    ['{"id": "whole-1", "name": "Ada", "type": "Hospital"}\n', /'type' is not/],
    ['{"id": "whole-2", "data": {"name": "Ada"}, "contaned": {}}\n', /'contaned' is not/],
    ['{"id": "whole-3", "data": {"name": "Ada"}, "from": {"id": "end-a", "type": "provider"}}\n', /'from' is not/],
    ['{"id": "whole-4", "from": {"id": "end-a", "type": "provider"}, "to": {"id": "end-b", "type": "site"}}\n', /'from' is not/],
  ]) {
    await choose(page, clinic, file('people.ndjson', text));
    await page.getByRole('combobox', { name: 'Type' }).selectOption('resources/provider');
    await check(page);
    await expect(page.getByText('Rejected: 1 operation is not right.')).toBeVisible();
    await expect(page.getByRole('region', { name: 'Faults' }).getByRole('button', { name: said })).toBeVisible();
  }
  await choose(page, clinic, file('five.ndjson', '{"name": "Ada"}\n5\n'));
  await page.getByRole('combobox', { name: 'Type' }).selectOption('resources/provider');
  await check(page);
  await expect(page.getByRole('alert').filter({ hasText: 'not all objects' })).toBeVisible();
  await choose(page, clinic, file('two.ndjson', '{"type": "provider", "data": {"name": "Ada"}}\n{"type": "site", "data": {"name": "Hall"}}\n'));
  await page.getByRole('combobox', { name: 'Type' }).selectOption('resources/provider');
  await check(page);
  await expect(page.getByRole('alert').filter({ hasText: 'a record is of the type site, and provider was chosen' })).toBeVisible();
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

test('a fault is marked where its receipt points, also where a member is missing', async ({ page, clinic }) => {
  const operation = (id, data) => `${JSON.stringify({ action: 'CREATE', create: { type: 'provider', id, data } })}\n`;
  await choose(page, clinic, file('faults.ndjson', operation('m-1', { name: 'Ada', practiceNumber: 0 }) + operation('m-2', { practiceNumber: 7 })));
  await check(page);
  await expect(page.getByText('Rejected: 2 operations are not right.')).toBeVisible();
  const faults = page.getByRole('region', { name: 'Faults' });
  const shown = async (reason) => {
    await faults.getByRole('button', { name: reason }).click();
    return faults.locator('li').filter({ has: page.getByRole('button', { name: reason }) }).locator('li.faulty');
  };
  const there = await shown(/practiceNumber/);
  await expect(there).toHaveCount(1);
  await expect(there.locator('mark')).toHaveText('0');
  await expect(there.getByRole('note')).toContainText('/create/data/practiceNumber: ');
  const missing = await shown(/is required/);
  await expect(missing).toHaveCount(1);
  await expect(missing.locator('mark').first()).toHaveText('"data"');
  await expect(missing.getByRole('note')).toHaveText("/create/data/name is missing: property 'name' is required");
});

test('a record that was read and changed is written now, not when it was read', async ({ page, clinic }) => {
  const at = '/sources/clinic/v1/resources/provider/read-1';
  await call(clinic, 'PUT', at, { data: { name: 'Ada' } });
  const read = await call(clinic, 'GET', at);
  await choose(page, clinic, file('read.ndjson', JSON.stringify({ ...read, data: { name: 'Ada L.' } })));
  await page.getByRole('combobox', { name: 'Type' }).selectOption('resources/provider');
  await page.getByLabel('Action').selectOption('UPSERT');
  await send(page);
  await expect(page.getByText('all succeeded')).toBeVisible();
  const { data, meta } = await call(clinic, 'GET', at);
  expect(data).toEqual({ name: 'Ada L.' });
  expect(meta.version).toBe(2);
  expect(meta.createdAt).toBe(read.meta.createdAt);
  expect(meta.updatedAt > read.meta.updatedAt).toBe(true);
  // What was never read says itself when it was written.
  const old = { createdAt: '2020-01-01T00:00:00.000Z', updatedAt: '2020-01-02T00:00:00.000Z' };
  await choose(page, clinic, file('old.ndjson', JSON.stringify({ id: 'old-1', data: { name: 'Bob' }, meta: old })));
  await page.getByRole('combobox', { name: 'Type' }).selectOption('resources/provider');
  await send(page);
  await expect(page.getByText('all succeeded')).toBeVisible();
  expect((await call(clinic, 'GET', '/sources/clinic/v1/resources/provider/old-1')).meta).toMatchObject(old);
});

test('a file that is none of them says what to do', async ({ page, clinic }) => {
  await choose(page, clinic, file('x.ndjson.gz', 'xx'));
  await expect(page.getByRole('alert')).toContainText('send it by the command line');
  await choose(page, clinic, file('x.json', '{"a": '));
  await expect(page.getByRole('alert')).toContainText('begins like JSON and is none');
  await choose(page, clinic, file('x.csv', ''));
  await expect(page.getByRole('alert')).toContainText('the file is empty');
});
