/** The short form of `npm run fuzz:sidecar`. Memory is for the long form. */
import t from 'tap';
import { sidecarFuzz } from './sidecar/drive-doors.ts';

t.setTimeout(120_000);

t.test('R16, R20, R22: no input of a sidecar makes it throw, and what it accepts or refuses is within its bounds', (t) => {
  const { doors, violations } = sidecarFuzz({ values: 20_000, seed: 'in the tests', pool: 500 });
  t.strictSame(violations, []);
  for (const [name, { taken, refused }] of Object.entries(doors))
    t.ok(taken + refused > 100 && taken > 3, `${name}: ${taken} taken, ${refused} refused`);
  t.end();
});
