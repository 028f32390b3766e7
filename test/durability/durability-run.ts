/** Submits tasks to a hub that is killed repeatedly, and checks what became of them: R1 with real processes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../product/twins/ids-seeded/seeded-random.ts';
import type { HubClient } from '../../apps/client/index.ts';
import { hubClient } from '../../apps/client/index.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import type { Program, World } from '../apps/app-world.ts';

/** One submit, or one bulk submit of several tasks. Each task's description names the submit and is unique. */
export interface Submit {
  readonly key: string;
  readonly descriptions: readonly string[];
}

/** A submit that the hub answered with these ids. */
export interface Answered extends Submit {
  readonly taskIds: readonly string[];
}

export interface Verdict {
  /** Tasks whose submit was answered, and how many of them are stored under their id with their text. */
  readonly answered: number;
  readonly found: number;
  readonly missing: readonly string[];
  /** Descriptions that more than one task has. */
  readonly duplicated: readonly string[];
}

export interface DurabilityOutcome extends Verdict {
  readonly kills: number;
  /** Submits that were repeated because a kill left them unanswered. */
  readonly repeated: number;
  /** Answered submits that were repeated, and those among them that got different ids. */
  readonly askedAgain: number;
  readonly changed: readonly string[];
  /** Milliseconds from each spawn to the line that reports the hub ready. */
  readonly startsMs: readonly number[];
}

export interface DurabilityOptions {
  readonly world: World;
  readonly kills: number;
  readonly seed: string;
  /** Number of submits in flight. Default 32. */
  readonly inFlight?: number;
  /** A hub is killed at a random time up to this long after it is ready. Default 400. */
  readonly lifeMaxMs?: number;
  readonly onKill?: (kill: number, answered: number) => void;
}

/** One submit in this many is a bulk submit, of the number of tasks below. */
const BULK_EVERY = 8;
const BULK_TASKS = 5;
/** After one submit in this many, an older one is repeated. */
const ASK_AGAIN_EVERY = 16;
const PAGE = 500;

/** Runs the hub, kills it `kills` times, starts it once more, and checks what is stored. */
export async function durabilityRun(options: DurabilityOptions): Promise<DurabilityOutcome> {
  const { world, kills, seed, inFlight = 32, lifeMaxMs = 400, onKill } = options;
  const random = seededRandom(seed);
  // Every failed attempt is visible here: the client does not retry.
  const api = hubClient({ url: world.api.url, token: world.adminToken, retryWithinMs: 0 });
  const answered: Answered[] = [];
  const changed: string[] = [];
  const startsMs: number[] = [];
  let hub = begin();
  let submits = 0;
  let repeated = 0;
  let askedAgain = 0;
  let isOver = false;

  async function begin(): Promise<Program> {
    const spawnedAtMs = performance.now();
    const program = await world.startHub();
    startsMs.push(performance.now() - spawnedAtMs);
    return program;
  }

  /** Repeats it until it is answered. */
  async function submitUntilAnswered(submit: Submit): Promise<readonly string[]> {
    for (let tries = 1; ; tries += 1) {
      await hub;
      try {
        return await submitOnce(api, submit);
      } catch (thrown) {
        if (!mayPass(thrown)) throw thrown;
        if (tries === 1) repeated += 1;
        await sleep(5); // The kill is noticed here before waiting for the next hub.
      }
    }
  }

  async function submitAgainAndAgain(): Promise<void> {
    while (!isOver) {
      const submit = submitNumber((submits += 1));
      answered.push({ ...submit, taskIds: await submitUntilAnswered(submit) });
      const older = answered[random() % answered.length];
      if (random() % ASK_AGAIN_EVERY !== 0 || older === undefined) continue;
      askedAgain += 1;
      const again = await submitUntilAnswered(older);
      if (again.join() !== older.taskIds.join()) changed.push(older.key);
    }
  }

  const submitters = Promise.all(Array.from({ length: inFlight }, submitAgainAndAgain));
  const killing = (async () => {
    for (let kill = 1; kill <= kills; kill += 1) {
      const living = await hub;
      await sleep(random() % lifeMaxMs);
      hub = living.kill('SIGKILL').then(begin);
      onKill?.(kill, answered.length);
    }
    await hub;
    isOver = true;
  })();
  await Promise.all([submitters, killing]);
  return { kills, repeated, askedAgain, changed, startsMs, ...judge(answered, await storedTasks(api)) };
}

/** What is missing or duplicated. `stored` is every task of the hub. */
export function judge(answered: readonly Answered[], stored: readonly StoredTask[]): Verdict {
  const descriptions = new Map(stored.map((task) => [task.id, task.description]));
  const expected = answered.flatMap((submit) =>
    submit.descriptions.map((text, n) => [submit.taskIds[n] ?? `no id for ${text}`, text] as const),
  );
  const missing = expected.filter(([id, text]) => descriptions.get(id) !== text).map(([id]) => id);
  const seen = new Set<string>();
  const duplicated = stored.map((task) => task.description).filter((text) => seen.size === seen.add(text).size);
  return { answered: expected.length, found: expected.length - missing.length, missing, duplicated };
}

export interface StoredTask {
  readonly id: string;
  readonly description: string;
}

function submitNumber(n: number): Submit {
  const key = `submit-${n}`;
  const tasks = n % BULK_EVERY === 0 ? BULK_TASKS : 1;
  return { key, descriptions: Array.from({ length: tasks }, (_, line) => `${key}, line ${line}`) };
}

async function submitOnce(api: HubClient, { key, descriptions }: Submit): Promise<readonly string[]> {
  const bodies = descriptions.map((description) => ({ description }));
  const [only] = bodies;
  if (bodies.length === 1 && only !== undefined) return [(await api.tasks.submit(only, key)).task_id];
  return (await api.tasks.submitMany(bodies, key)).task_ids;
}

/** No answer, or the hub is overloaded; any other refusal is a finding. */
function mayPass(thrown: unknown): boolean {
  if (AgentcomError.is(thrown, 'AC_API_UNREACHABLE')) return true;
  const status = AgentcomError.is(thrown, 'AC_API') ? thrown.details?.['status'] : undefined;
  return status === 429 || status === 503;
}

async function storedTasks(api: HubClient): Promise<readonly StoredTask[]> {
  const stored: StoredTask[] = [];
  let cursor: string | undefined;
  do {
    const page = await api.tasks.list({ limit: PAGE, cursor });
    stored.push(...page.tasks);
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  return stored;
}
