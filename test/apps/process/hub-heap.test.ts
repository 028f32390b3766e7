/** How far a hub's heap grows before V8 does a full collection, and what V8 returns to the system with it. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import t from 'tap';
import { builtTree } from '../../rig/built-tree.ts';

interface Heap {
  /** The factor since the collection before. */
  readonly growth: number;
  /** Of the memory that it had before. */
  readonly share: number;
}

async function heap(how: 'busy' | 'at-rest' | 'becomes-idle' | 'fragmented'): Promise<Heap> {
  const child = builtTree().compiled('test/apps/process/heap-growth-child.ts');
  return JSON.parse((await promisify(execFile)(process.execPath, ['--expose-gc', child, how])).stdout) as Heap;
}

t.test('an idle hub collects its heap much earlier than a busy one', async (t) => {
  const [busy, atRest] = [await heap('busy'), await heap('at-rest')];
  t.ok(busy.growth > 2, `busy: ${busy.growth}`);
  t.ok(atRest.growth < 2, `at rest: ${atRest.growth}`);
});

t.test('a hub that becomes idle collects soon, though its last collection was in a busy time', async (t) => {
  const { growth } = await heap('becomes-idle');
  t.ok(growth < 2, `once idle: ${growth}`);
});

t.test('a hub that becomes idle returns pages that are free in part', async (t) => {
  const { share } = await heap('fragmented');
  t.ok(share < 0.7, `of its memory before: ${share}`);
});
