/** How far a hub's heap grows before V8 does a full collection. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import t from 'tap';
import { builtTree } from '../../rig/built-tree.ts';

/** The growth factor since the collection before. */
async function growth(how: 'busy' | 'at-rest' | 'becomes-idle'): Promise<number> {
  const child = builtTree().compiled('test/apps/process/heap-growth-child.ts');
  return Number((await promisify(execFile)(process.execPath, ['--expose-gc', child, how])).stdout);
}

t.test('an idle hub collects its heap much earlier than a busy one', async (t) => {
  const [busy, atRest] = [await growth('busy'), await growth('at-rest')];
  t.ok(busy > 2, `busy: ${busy}`);
  t.ok(atRest < 2, `at rest: ${atRest}`);
});

t.test('a hub that becomes idle collects soon, though its last collection was in a busy time', async (t) => {
  const becomesIdle = await growth('becomes-idle');
  t.ok(becomesIdle < 2, `once idle: ${becomesIdle}`);
});
