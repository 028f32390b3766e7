/**
 * The hostile neighbours of a soak, all in one process: its argument is a file with its orders. Each second, and once
 * more at its end, it writes what each kind has done and how it was answered, as a line of JSON. It runs until
 * SIGTERM.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { chooser, type Chooser } from '../../fuzz/hostile/choose.ts';
import { requester } from '../../fuzz/hostile/requests.ts';
import { framePools, stranger, type HostileAgent, type SocketDeps, type Targets } from '../../fuzz/hostile/hostile-sockets.ts';
import { tallying, type Tallying } from '../../fuzz/hostile/tally.ts';
import { chance } from '../../simulation/seeded-chance.ts';
import { asker, type Asker, type Sender } from './ask.ts';
import { crash, flood } from './hostile-agents.ts';
import { deafStreams, doomedTask, halfOpen, manyDependents, oddSubmits, openSockets, readMuch, slowBody } from './hostile-people.ts';
import { CRASHES_AT_ONCE, NEIGHBOURS, type Neighbour, type NeighbourOrders } from './neighbour-kinds.ts';

/** Texts of frames and requests that are generated at the start. */
const POOL = 400;
/** The hub remembers addresses up to a limit that would take it hours to reach: from this many it is full in minutes. */
const ADDRESSES = 200;
const TELL_EACH_MS = 1_000;
/** Between two turns: together they use about a quarter of a core, and the hub another one. */
const REST_MS = { flood: 3_000, old: 4_000, crash: 500, odd: 4_000, dependents: 2_000, stranger: 1_000, viewer: 2_000 };
const WRONG_TOKENS = ['', 'wrong', 'x'.repeat(2_000)].map((token) => ({ token, mayEnd: false }));

const { port, seed, agents, tokens } = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as NeighbourOrders;
const over = new AbortController();
const isOver = (): boolean => over.signal.aborted;
const targets: Targets = { others: [], hostile: [] };
let targetsKnown = (): void => undefined;
/** Until the viewer has seen tasks of others, agents have none to report on. */
const knowsTargets = new Promise<void>((resolve) => (targetsKnown = resolve));
over.signal.addEventListener('abort', () => targetsKnown());
const number = chooser(seed).below(2 ** 31);
const pools = framePools(number, POOL);
const tallies = Object.fromEntries(NEIGHBOURS.map((name) => [name, tallying()])) as Record<Neighbour, Tallying>;
const askers: Asker[] = [];

const known = Array.from({ length: ADDRESSES }, chooser(`${seed} addresses`).address);
function chooserOf(name: string): Chooser {
  const choose = chooser(`${seed} ${name}`);
  return { ...choose, address: () => choose.of(known) };
}

const depsOf = (name: Neighbour): SocketDeps => ({ port, pools, choose: chooserOf(name), tally: tallies[name], targets });
const senderOf = (name: Neighbour, token: string): Sender => ({ port, address: chooserOf(name).address(), token, tally: tallies[name] });
function askerOf(name: Neighbour, token: string): Asker {
  const made = asker(senderOf(name, token));
  askers.push(made);
  return made;
}
const rested = (list: NeighbourOrders['agents']['old']): readonly HostileAgent[] => list.map((agent) => ({ ...agent, restsUntilMs: 0 }));

/** A turn, a pause, and again; an error in a turn ends the process. */
async function again(restMs: number, play: (turn: number) => Promise<void> | void): Promise<void> {
  for (let turn = 0; !isOver(); turn += 1) {
    await play(turn);
    await sleep(restMs, undefined, { signal: over.signal }).catch((error: Error) => {
      if (error.name !== 'AbortError') throw error;
    });
  }
}

function playAgents(): readonly Promise<void>[] {
  const [flooding, old] = [depsOf('flooding agents'), depsOf('flooding agents of version 1')];
  const [floods, olds] = [rested(agents.flooding), rested(agents.old)];
  const [words, oldWords] = [chance(`${seed} words`), chance(`${seed} old words`)];
  const crashing = depsOf('crash-looping agent');
  const crashes = askerOf('crash-looping agent', tokens.crashes);
  return [
    knowsTargets.then(() => again(REST_MS.flood, () => flood(flooding, floods, 2, words))),
    knowsTargets.then(() => again(REST_MS.old, () => flood(old, olds, 1, oldWords))),
    ...rested(agents.crashing).map((agent) => again(REST_MS.crash, () => crash(crashing, agent))),
    ...Array.from({ length: CRASHES_AT_ONCE }, () => again(REST_MS.crash, () => doomedTask(crashes, crashing.tally, isOver))),
  ];
}

function playSubmitter(): readonly Promise<void>[] {
  const odd = askerOf('odd submitter', tokens.odd);
  return [again(REST_MS.odd, (turn) => oddSubmits(odd, turn, isOver)), again(REST_MS.dependents, () => manyDependents(odd, isOver))];
}

function playStrangers(): readonly Promise<void>[] {
  const deps = depsOf('strangers');
  const requests = requester({ ...deps, tokens: WRONG_TOKENS }, number + 3, POOL);
  const sockets = openSockets(deps.tally);
  over.signal.addEventListener('abort', () => sockets.closeAll());
  return [
    again(REST_MS.stranger, () => stranger(deps)),
    again(REST_MS.stranger, (turn) => {
      halfOpen({ port, address: deps.choose.address(), tally: deps.tally }, sockets, turn);
      slowBody(senderOf('strangers', tokens.slow), sockets);
    }),
    again(REST_MS.stranger, async () => {
      for (let n = 0; n < 5; n += 1) await requests.send();
    }).finally(() => requests.close()),
  ];
}

function playViewer(): readonly Promise<void>[] {
  const viewer = askerOf('greedy viewer', tokens.viewer);
  const streams = deafStreams(senderOf('greedy viewer', tokens.viewer));
  const opening = again(REST_MS.viewer, () => streams.open());
  const reading = again(REST_MS.viewer, async () => {
    await readMuch(viewer, targets);
    if (targets.others.length > 0) targetsKnown();
  });
  return [reading, opening.finally(() => streams.closeAll())];
}

const tell = (): void =>
  void process.stdout.write(`${JSON.stringify(Object.fromEntries(NEIGHBOURS.map((name) => [name, tallies[name].so()])))}\n`);

const playing = [...playAgents(), ...playSubmitter(), ...playStrangers(), ...playViewer()];
const telling = setInterval(tell, TELL_EACH_MS);
void once(process, 'SIGTERM').then(() => over.abort());
await Promise.all(playing);
clearInterval(telling);
for (const one of askers) one.close();
tell();
