/**
 * Kills a hub with -9 at random moments under submits in flight, and checks every submit that it answered:
 *
 *     node --conditions=agentcom-source --import=tsx test/durability/durability.ts --kills 100 [--seed TEXT]
 *
 * Exits with 1 unless nothing is missing, duplicated or changed.
 */
import { cpus } from 'node:os';
import { durabilityRun } from './durability-run.ts';
import { makeWorld } from '../apps/app-world.ts';
import { withEnds } from '../chaos/rig/chaos-figures.ts';
import { refuseValue, scriptOptions } from '../rig/script-options.ts';

const IN_FLIGHT = 32;

const values = scriptOptions({ kills: { type: 'string', default: '100' }, seed: { type: 'string' } });
const kills = Number(values.kills);
if (!Number.isInteger(kills) || kills < 1) refuseValue('kills', values.kills, 'a whole number from 1');
const seed = values.seed ?? String(Date.now());
const say = (line: string): void => void process.stdout.write(`${line}\n`);

say(
  `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, node ${process.version}, ${process.platform}; SQLite, synchronous=FULL`,
);
say(`${kills} kills -9 at random moments under ${IN_FLIGHT} submits in flight, seed ${seed}`);

const startedMs = performance.now();
await withEnds(async (end) => {
  const world = await makeWorld(end);
  const onKill = (kill: number, answered: number): void => {
    if (kill % 10 === 0) say(`  ${kill} kills, ${answered} submits answered`);
  };
  const outcome = await durabilityRun({ world, kills, seed, inFlight: IN_FLIGHT, onKill });
  const starts = outcome.startsMs.toSorted((a, b) => a - b);
  const at = (share: number): number => Math.round(starts[Math.floor(share * (starts.length - 1))] ?? 0);
  say(`tasks answered   ${outcome.answered}`);
  say(`tasks found      ${outcome.found}`);
  say(`missing          ${outcome.missing.length} ${outcome.missing.slice(0, 10).join(' ')}`.trimEnd());
  say(`duplicated       ${outcome.duplicated.length} ${outcome.duplicated.slice(0, 10).join(' ')}`.trimEnd());
  say(
    `repeated         ${outcome.askedAgain}, answered differently ${outcome.changed.length} ${outcome.changed.slice(0, 10).join(' ')}`.trimEnd(),
  );
  say(`cut off by a kill, repeated ${outcome.repeated}`);
  say(
    `hub ready again within ${at(0.5)} ms (median), ${at(1)} ms (longest); ${Math.round((performance.now() - startedMs) / 1_000)} s in total`,
  );
  process.exitCode = outcome.missing.length + outcome.duplicated.length + outcome.changed.length === 0 ? 0 : 1;
});
