/** W3C Trace Context, by the tables of the standard: https://www.w3.org/TR/trace-context/ */
import t from 'tap';
import { traceContextOf } from '../../../core/domain/task/trace-context.ts';

const ID = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const PARENT = `00-${ID}-${SPAN}-01`;

t.test('traceparent: only valid values are kept', (t) => {
  const kept: readonly (readonly [given: string, kept: string])[] = [
    [PARENT, PARENT],
    [`00-${ID}-${SPAN}-00`, `00-${ID}-${SPAN}-00`],
    [`00-${ID}-${SPAN}-ff`, `00-${ID}-${SPAN}-ff`],
    [`01-${ID}-${SPAN}-01`, PARENT],
    [`cc-${ID}-${SPAN}-01-what-the-future-holds`, PARENT],
    [`cc-${ID}-${SPAN}-fe`, `00-${ID}-${SPAN}-00`],
  ];
  for (const [given, wanted] of kept) t.strictSame(traceContextOf(given, undefined), { traceparent: wanted }, given);
  const ignored = [
    '',
    ' ',
    'x',
    `${PARENT} `,
    ` ${PARENT}`,
    `${PARENT}\n`,
    `${PARENT}-more`,
    `${PARENT}-`,
    `${PARENT}, ${PARENT}`,
    PARENT.toUpperCase(),
    `00-${ID}-${SPAN}`,
    `00-${ID}-${SPAN}-1`,
    `00-${ID}-${SPAN}-001`,
    `00-${ID}-${SPAN}-0g`,
    `00-${ID.slice(1)}-${SPAN}-01`,
    `00-${ID}0-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${ID}-${'0'.repeat(16)}-01`,
    `0-${ID}-${SPAN}-01`,
    `ff-${ID}-${SPAN}-01`,
    `cc-${ID}-${SPAN}-01.what`,
    `cc-${ID}-${SPAN}-01-${'x'.repeat(10_000)}`,
  ];
  for (const given of ignored) t.strictSame(traceContextOf(given, 'a=1'), {}, JSON.stringify(given.slice(0, 80)));
  t.strictSame(traceContextOf(undefined, 'a=1'), {}, 'a tracestate needs a traceparent');
  t.end();
});

t.test('tracestate: an invalid or too long value is dropped, and traceparent is kept', (t) => {
  const kept: readonly (readonly [given: string, kept: string])[] = [
    ['rojo=00f067aa0ba902b7', 'rojo=00f067aa0ba902b7'],
    [
      'rojo=1, congo=t61rcWkgMzE ,\ta/b_c-d*e=!"#$%&()+-./:;<>?@[]^_`{|}~',
      'rojo=1,congo=t61rcWkgMzE,a/b_c-d*e=!"#$%&()+-./:;<>?@[]^_`{|}~',
    ],
    ['fw529a3039@dt=FfAyN,0tenant@system=1', 'fw529a3039@dt=FfAyN,0tenant@system=1'],
    [',a=1,,b= 2,', 'a=1,b= 2'],
    [Array.from({ length: 32 }, (_, n) => `k${n}=1`).join(), Array.from({ length: 32 }, (_, n) => `k${n}=1`).join()],
    [`a=${'x'.repeat(256)}`, `a=${'x'.repeat(256)}`],
  ];
  for (const [given, wanted] of kept) t.strictSame(traceContextOf(PARENT, given), { traceparent: PARENT, tracestate: wanted }, given);
  const dropped = [
    '',
    ' , ',
    'a',
    'a=',
    '=1',
    'A=1',
    'a=1=2',
    'a=\u00e9',
    'a=1\n',
    'a=1\u0000',
    'a=1,a=2',
    'a@b@c=1',
    'a@0=1',
    Array.from({ length: 33 }, (_, n) => `k${n}=1`).join(),
    `a=${'x'.repeat(257)}`,
    `a=${'x'.repeat(256)},b=${'x'.repeat(256)}`,
    `a=1${','.repeat(10_000)}`,
  ];
  for (const given of dropped) t.strictSame(traceContextOf(PARENT, given), { traceparent: PARENT }, JSON.stringify(given.slice(0, 80)));
  t.end();
});
