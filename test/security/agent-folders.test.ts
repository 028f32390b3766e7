/**
 * Agents that tamper with their own folders, as an ordinary user: each row of a table, each on its own sidecar with an
 * honest agent in its other slot.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import t from 'tap';
import { builtTree } from '../rig/built-tree.ts';
import type { CellEnd } from './folders/cell.ts';
import { shortTable, wholeTable } from './folders/cell-table.ts';

/** Every operation at every path at every step, a thousand sidecars: `AGENTCOM_FOLDERS=whole`. */
const IS_WHOLE = process.env['AGENTCOM_FOLDERS'] === 'whole';

t.setTimeout(IS_WHOLE ? 3_600_000 : 240_000);

t.test(
  'R16, R4: an agent that tampers with its own folders ends its own task with a reason, and blocks no slot',
  { skip: process.platform === 'win32' && 'Windows has no modes and no FIFOs' },
  async (t) => {
    const cells = IS_WHOLE ? wholeTable() : shortTable();
    const child = spawn(process.execPath, [builtTree().compiled('test/security/folders/main.ts'), JSON.stringify(cells)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    let ended = 0;
    for await (const line of createInterface({ input: child.stdout as Readable })) {
      const { cell, end, violations } = JSON.parse(line) as CellEnd;
      ended += 1;
      t.strictSame(violations, [], `${cell.path} (told ${cell.channel}): ${cell.operation}, ${cell.step}: ${end}`);
    }
    t.same(await exited, [0, null]);
    t.equal(ended, cells.length);
  },
);
