/** How pieces of text become whole lines. */
import t from 'tap';
import { HELD_CHARACTERS_MAX, withPiece } from '../../../plugins/run-kit/output/whole-lines.ts';

const through = (pieces: readonly string[]): readonly string[] => {
  let held = '';
  const shown = pieces.map((piece) => {
    const split = withPiece(held, piece);
    held = split.held;
    return split.whole;
  });
  return [...shown, held];
};

void t.test('whole lines are emitted, and the rest is buffered', (t) => {
  t.strictSame(through(['a', 'b\nc', '\n\nd']), ['', 'ab', 'c\n', 'd']);
  t.strictSame(through(['']), ['', '']);
  t.end();
});

void t.test('R20: a line over the limit is cut after a word, or if there is none, at the limit', (t) => {
  const word = 'x'.repeat(HELD_CHARACTERS_MAX - 2);
  t.strictSame(through([`first\n${word} y`, 'z', 'secret', '\n']), ['first', word, '', ' yzsecret', '']);
  t.strictSame(through([`a\n${'x'.repeat(HELD_CHARACTERS_MAX + 1)}`]), [`a\n${'x'.repeat(HELD_CHARACTERS_MAX + 1)}`, '']);
  t.end();
});
