/** Sidecars whose agents harm them, and that are never killed: their memory and their files are watched. */
import { existsSync, lstatSync, readdirSync, readFileSync, rmSync, type Dirent } from 'node:fs';
import { join, resolve } from 'node:path';
import type { TestEnd } from '../../apps/app-world.ts';
import { keepSidecar, type KeptSidecar } from '../rig/chaos-faults.ts';
import { sampleOf, type Sample } from '../rig/gauges.ts';
import { loopLagTo, MALLOC, type ChaosWorld } from '../rig/chaos-world.ts';

/** What hostile-agent.sh does; a run of an hour does each of them. */
export const AGENT_DEEDS = 13;
const HOSTILE_AGENT = resolve(import.meta.dirname, 'hostile-agent.sh');
/** The files of a failed assignment are kept for an operator: here the operator inspects them after this long, and removes them. */
const LOOKED_AT_MS = 300_000;
const KIB = 1_024;

export interface Watched {
  readonly sidecars: readonly KeptSidecar[];
  /** The current usage of each; null if it is gone. */
  samples(): Readonly<Record<string, Sample | null>>;
  /** How many files each has, and how many KiB they take; removes what the operator has inspected. */
  look(): Readonly<Record<string, number>>;
  /** How often the agents did each of their acts. */
  deeds(): Readonly<Record<string, number>>;
}

export async function startWatched(
  t: TestEnd,
  world: ChaosWorld,
  { ports, count, collectEachMs }: { readonly ports: readonly number[]; readonly count: number; readonly collectEachMs: number },
): Promise<Watched> {
  const names = Array.from({ length: count }, (_, n) => `watched-${n + 1}`);
  const lagOf = (name: string): string => join(world.dir, `${name}.loop-lag`);
  for (const [n, agentId] of names.entries())
    await world.enrol({ agentId, hubPort: ports[n % ports.length], slots: 2, argv: ['/bin/sh', HOSTILE_AGENT, '${TASK_DESCRIPTION}'] });
  const sidecars = names.map((name) => {
    const env = { ...MALLOC, ...loopLagTo(lagOf(name)), COLLECT_EACH_MS: String(collectEachMs) };
    return keepSidecar(world, name, [], { env });
  });
  t.teardown(async () => void (await Promise.all(sidecars.map((one) => one.current().kill('SIGKILL')))));
  return {
    sidecars,
    samples: () => Object.fromEntries(names.map((name, n) => [name, sampleOf(sidecars[n]?.current().pid ?? 0)])),
    look() {
      const rows: Record<string, number> = {};
      for (const name of names) {
        const folder = join(world.dir, 'sidecars', name);
        removeLookedAt(join(folder, 'results'));
        const { files, bytes } = sizeOf(folder);
        rows[`files of ${name}`] = files;
        rows[`KiB of ${name}`] = Math.round(bytes / KIB);
      }
      return rows;
    },
    deeds() {
      const file = join(world.ledgerDir, 'deeds');
      const counts: Record<string, number> = {};
      for (const deed of existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [])
        counts[deed] = (counts[deed] ?? 0) + 1;
      return counts;
    },
  };
}

function removeLookedAt(results: string): void {
  const untilMs = Date.now() - LOOKED_AT_MS;
  for (const entry of entriesOf(results)) {
    const path = join(results, entry.name);
    const changedMs = lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
    if (changedMs < untilMs) rmSync(path, { recursive: true, force: true });
  }
}

/** Blocks on disk, not lengths: a file may claim any length and store nothing. */
function sizeOf(folder: string): { readonly files: number; readonly bytes: number } {
  let [files, bytes] = [0, 0];
  for (const entry of entriesOf(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      const inside = sizeOf(path);
      files += inside.files;
      bytes += inside.bytes;
      continue;
    }
    files += 1;
    bytes += (lstatSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
  }
  return { files, bytes };
}

/** None for a folder that disappeared meanwhile, or that its agent has locked. */
function entriesOf(folder: string): readonly Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if (['ENOENT', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}
