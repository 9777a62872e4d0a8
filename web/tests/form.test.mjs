// What the form asks for and what its links carry, on fields without a browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';

class Input {
  type = 'text';
  value = '';
  checked = false;
}
Object.assign(globalThis, { RadioNodeList: class {}, HTMLInputElement: Input });
const { Form } = await import('../page/form.js');

/** A form as the visitor finds it. */
function form() {
  const fields = new Map();
  const namedItem = (name) => {
    if (!fields.has(name)) fields.set(name, new Input());
    return fields.get(name);
  };
  for (const name of ['locked', 'preview']) namedItem(name).type = 'checkbox';
  namedItem('preview').checked = true;
  namedItem('seconds').value = '2';
  namedItem('quality').value = 'good';
  return new Form({ elements: { namedItem }, addEventListener() {}, querySelector: () => ({ value: '' }) });
}

test('what is left empty is not sent, so that the model says it', () => {
  const empty = form();
  empty.set('negative', '  ');
  const sent = JSON.parse(JSON.stringify(empty.wish()));
  for (const name of ['negativePrompt', 'fps', 'width', 'steps', 'guidance', 'scheduler']) {
    assert.ok(!(name in sent), name);
  }
  empty.set('negative', ' dark, dull ');
  assert.equal(empty.wish().negativePrompt, 'dark, dull');
});

test('a link restores the whole form, empty fields and unset boxes too', () => {
  const first = form();
  first.set('prompt', 'a face & a "hand"');
  first.set('preview', '');
  const link = first.link();
  const second = form();
  second.set('negative', 'dark, dull');
  second.set('guidance', '7');
  second.restore(link);
  assert.deepEqual(second.wish(), first.wish());
  assert.equal(second.wish().negativePrompt, undefined);
  first.set('negative', 'dark, dull');
  second.set('device', 'cpu');
  second.restore(first.link());
  assert.equal(second.wish().negativePrompt, 'dark, dull');
  assert.equal(second.value('device'), 'cpu', 'the device in use stays');
});

test('a link that names some fields leaves the others as they are', () => {
  const some = form();
  some.restore('#prompt=a+cat&other=1');
  const { prompt, preview, seconds } = some.wish();
  assert.deepEqual({ prompt, preview, seconds }, { prompt: 'a cat', preview: true, seconds: 2 });
});
