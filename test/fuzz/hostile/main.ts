/**
 * The hostile process: its one argument is a file with its orders. It writes what it has done and how it was answered,
 * as a line of JSON each second, and once more at its end.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { chooser } from './choose.ts';
import { requester, type HostileToken } from './requests.ts';
import { deaf, framePools, impatient, liar, stranger, type HostileAgent, type SocketDeps, type Targets } from './hostile-sockets.ts';
import { tallying } from './tally.ts';

export interface Orders {
  readonly port: number;
  readonly seed: string;
  readonly frames: number;
  readonly bodies: number;
  readonly agents: readonly { readonly agentId: string; readonly token: string }[];
  /** For HTTP, of every role. `mayEnd`: may cancel or retry what others submitted, so it is never aimed at the tasks of the honest. */
  readonly tokens: readonly HostileToken[];
  /** May see which tasks others have. */
  readonly viewerToken: string;
  /** Parallel plays, on the wire and over HTTP. */
  readonly atOnce: { readonly sockets: number; readonly requests: number };
}

/** Texts of each kind that are generated at the start: a quarter of what is sent, within these limits. */
const POOL_MIN = 300;
const POOL_MAX = 6_000;
const TELL_EACH_MS = 1_000;
const LOOK_EACH_MS = 1_000;
/** One in this many plays on the wire has a token; and one in this many of these reads nothing, and one is impatient. */
const AGENT_ONE_IN = 20;
const DEAF_ONE_IN = 50;
const IMPATIENT_ONE_IN = 20;

const orders = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Orders;
const { port, seed, frames, bodies, atOnce } = orders;
const tally = tallying();
const targets: Targets = { others: [], hostile: [] };
const number = chooser(seed).below(2 ** 31);
const poolSize = Math.max(POOL_MIN, Math.min(POOL_MAX, Math.ceil(frames / 4)));
const pools = framePools(number, poolSize);
const agents: HostileAgent[] = orders.agents.map((agent) => ({ ...agent, restsUntilMs: 0 }));
const requests = requester({ port, tokens: orders.tokens, choose: chooser(`${seed} requests`), tally, targets }, number + 3, poolSize);
let isOver = false;

async function socketPlays(n: number): Promise<void> {
  const isEnough = (): boolean => tally.frames >= frames;
  const deps: SocketDeps = { port, pools, choose: chooser(`${seed} sockets ${n}`), tally, targets, isOver: isEnough };
  while (!isEnough()) {
    const agent = deps.choose.oneIn(AGENT_ONE_IN) ? takeAgent() : null;
    if (agent === null) await stranger(deps);
    else {
      const play = deps.choose.oneIn(DEAF_ONE_IN) ? deaf : deps.choose.oneIn(IMPATIENT_ONE_IN) ? impatient : liar;
      await play(deps, agent);
      agents.push(agent);
    }
  }
}

/** One that has rested; it is used by no other play until it is returned. */
function takeAgent(): HostileAgent | null {
  const at = agents.findIndex((agent) => agent.restsUntilMs <= performance.now());
  return at === -1 ? null : (agents.splice(at, 1)[0] ?? null);
}

async function requestPlays(): Promise<void> {
  while (tally.bodies < bodies) await requests.send();
}

/** Which tasks honest agents have now. */
async function lookForTargets(): Promise<void> {
  while (!isOver) {
    const answer = await fetch(`http://127.0.0.1:${port}/api/tasks?status=assigned&limit=100`, {
      headers: { authorization: `Bearer ${orders.viewerToken}` },
    });
    if (answer.ok) {
      const { tasks } = (await answer.json()) as {
        readonly tasks: readonly { readonly id: string; readonly generation: number; readonly assigned_to: string }[];
      };
      const honest = tasks.filter((task) => !orders.agents.some((agent) => agent.agentId === task.assigned_to));
      targets.others = honest.map(({ id, generation }) => ({ id, generation }));
      targets.hostile = tasks.filter((task) => !honest.includes(task)).map(({ id, generation }) => ({ id, generation }));
    }
    await sleep(LOOK_EACH_MS);
  }
}

const tell = (): void => void process.stdout.write(`${JSON.stringify(tally.so())}\n`);
const telling = setInterval(tell, TELL_EACH_MS);
const looking = lookForTargets();
await Promise.all([
  ...Array.from({ length: atOnce.sockets }, (_, n) => socketPlays(n)),
  ...Array.from({ length: atOnce.requests }, requestPlays),
]);
isOver = true;
await looking;
clearInterval(telling);
requests.close();
tell();
