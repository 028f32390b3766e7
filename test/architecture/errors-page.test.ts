/** docs/errors.md explains each code that users can encounter: every code, no other, with the right numbers. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { ERROR_CODES } from '../../core/errors/codes.ts';
import { HTTP_ERRORS } from '../../core/protocol/http-errors.ts';
import { WIRE_ERRORS, MESSAGE_FAILURES, NACK_REASONS, V1_VERBS } from '../../core/protocol/hub-frames.ts';
import { FAILURE_KINDS } from '../../core/protocol/sidecar-frames.ts';
import { ROOT } from './cruise.ts';

const page = readFileSync(path.join(ROOT, 'docs/errors.md'), 'utf8');

/** The rows of the table under a heading, each as its cells, with the code in the first cell without its quotes. */
function rowsUnder(heading: string): readonly (readonly string[])[] {
  const [, section = ''] = page.split(`\n${heading}\n`);
  const [own = ''] = section.split(/\n#+ /);
  const lines = own.split('\n').filter((line) => line.startsWith('| `'));
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replace(/^`(.*)`$/, '$1')),
  );
}

const wordsUnder = (heading: string): readonly string[] => rowsUnder(heading).map(([word = '']) => word);

t.test('every error code is listed on the page once, and no other', async (t) => {
  const tables: readonly (readonly [heading: string, words: readonly string[]])[] = [
    ['## Program errors', Object.keys(ERROR_CODES)],
    ['## HTTP errors', Object.keys(HTTP_ERRORS)],
    ['### Error frames', [...WIRE_ERRORS, ...MESSAGE_FAILURES.map((why) => `message_failed: ${why}`)]],
    ['### Refused task frames', NACK_REASONS],
    ['## Why a task failed', FAILURE_KINDS],
  ];
  for (const [heading, words] of tables) t.strictSame([...wordsUnder(heading)].sort(), [...words].sort(), heading);
});

t.test('the page lists every refusal of version 1', async (t) => {
  for (const verb of V1_VERBS) t.match(page, `\`task_${verb}_failed: WORD\``);
});

t.test('the exit codes match the code table', async (t) => {
  const onPage = Object.fromEntries(rowsUnder('## Program errors').map(([code = '', exit]) => [code, Number(exit)]));
  t.strictSame(onPage, Object.fromEntries(Object.entries(ERROR_CODES).map(([code, { exit }]) => [code, exit])));
});

t.test('every row has a meaning and a remedy', async (t) => {
  for (const heading of ['## Program errors', '## HTTP errors']) {
    for (const [word = '', , meaning = '', remedy = ''] of rowsUnder(heading)) {
      t.ok(meaning.length > 10 && remedy.length > 5, word);
    }
  }
});
