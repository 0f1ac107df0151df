import { expect, open, settled, test } from './fixtures.js';
import { call } from './server.js';

test('types are drawn as a graph with cardinalities, and lead to their definitions', async ({ page, airports }) => {
  await open(page, airports, 'sources/airports');
  const graph = page.getByRole('group', { name: 'Types of airports and the relationships between them' });
  await expect(graph.getByRole('link', { name: /, profile$/ })).toHaveCount(3);
  await expect(graph.getByRole('link', { name: 'liesIn 0:1 airports 0:*, relationship airport-in-subdivision from airport to subdivision' })).toBeVisible();
  await expect(graph.getByRole('link', { name: 'partOf 1:1 subdivisions 0:*, relationship subdivision-in-country from subdivision to country' })).toBeVisible();
  await expect(graph.getByRole('link', { name: 'airport contains runways 0:*: runway' })).toBeVisible();
  await expect(graph.getByRole('link', { name: 'airport contains ends 1:*: runway-end' })).toBeVisible();
  // Boxes do not lie on each other.
  const boxes = await graph.locator('rect.box').evaluateAll((all) => all.map((one) => one.getBoundingClientRect()));
  for (const a of boxes) for (const b of boxes) expect(a === b || a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top).toBe(true);
  await graph.getByRole('link', { name: 'airport 9 properties, profile' }).click();
  await settled(page);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('airport');
  const icao = page.getByRole('row').filter({ has: page.getByText('icao', { exact: true }) });
  await expect(icao.first()).toContainText('^[A-Z]{4}$');
  await expect(page.getByRole('row').filter({ has: page.getByText('runways', { exact: true }) })).toContainText('0:*');
});

test('a relationship definition is read', async ({ page, airports }) => {
  await open(page, airports, 'sources/airports/relationship-definitions/airport-in-subdivision');
  await expect(page.getByRole('row').filter({ hasText: 'liesIn' })).toContainText('airport');
  await expect(page.getByRole('row').filter({ hasText: 'sourceName' })).toContainText('symbol');
});

test('a profile is edited, and its faults are shown in place', async ({ page, clinic }) => {
  await call(clinic, 'PUT', '/sources/clinic/v1/profiles/ward', { properties: { beds: { type: 'integer' } } });
  await open(page, clinic, 'sources/clinic/profiles/ward');
  await page.getByRole('link', { name: 'Edit' }).click();
  await settled(page);
  const editor = page.getByRole('textbox', { name: 'profile ward as JSON' });
  await expect(editor).toHaveValue(/"beds": \{"type": "integer"\}/);
  await expect(editor).not.toHaveValue(/revision/);

  const wrong = '{\n  "properties": {\n    "beds": {"type": "intger"},\n    "floor": {"type": "symbol", "rules": [{"min": 3, "max": 2}]}\n  }\n}\n';
  await editor.fill(wrong);
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('alert')).toContainText('400 INVALID_ARGUMENT');
  const faults = page.locator('.fault-list li');
  await expect(faults).toHaveCount(2);
  await expect(faults.nth(0)).toContainText('line 3/properties/beds/typetype \'intger\' is not known, did you mean \'integer\'?');
  await expect(faults.nth(1)).toContainText('line 4/properties/floor/rules/0/min');
  // They are marked at what they are about, and lead there.
  await expect(page.locator('.backdrop mark')).toHaveText(['"intger"', '3']);
  await expect(page.locator('.gutter .faulty')).toHaveText(['3', '4']);
  await expect(page.locator('.backdrop > div').nth(2)).toContainText('did you mean');
  await faults.nth(0).getByRole('button').click();
  const selected = await editor.evaluate((area) => area.value.slice(area.selectionStart, area.selectionEnd));
  expect(selected).toBe('"intger"');
  await page.keyboard.type('"integer"');

  await editor.fill('{"properties": {"beds": ');
  await expect(faults).toHaveText(/line 1not JSON: the text ends too early/);

  await editor.fill('{"properties": {"beds": {"type": "integer"}, "floor": {"type": "symbol"}}}');
  await expect(faults).toHaveCount(0);
  await editor.press('Control+Enter');
  await expect(page.getByRole('status').filter({ hasText: 'Saved as revision 2' })).toBeVisible();
  // What somebody else has saved meanwhile is not overwritten.
  await call(clinic, 'PUT', '/sources/clinic/v1/profiles/ward', { properties: { beds: { type: 'integer' }, other: { type: 'symbol' } } });
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('alert')).toContainText('412 FAILED_PRECONDITION');
  const stored = await call(clinic, 'GET', '/sources/clinic/v1/profiles/ward');
  expect(Object.keys(stored.properties)).toEqual(['beds', 'other']);

  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await expect(page).toHaveURL(/#\/sources\/clinic$/);
  expect((await fetch(`${clinic.url}/sources/clinic/v1/profiles/ward`)).status).toBe(404);
});

test('a profile that is new is written', async ({ page, clinic }) => {
  await open(page, clinic, 'sources/clinic');
  await page.getByRole('link', { name: 'New profile' }).click();
  await page.getByRole('textbox', { name: 'Key' }).fill('room');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'room' })).toBeVisible();
  await call(clinic, 'DELETE', '/sources/clinic/v1/profiles/room');
});
