/**
 * One cell of the table: a real sidecar with two slots, its journal, its files and its runner on a real disk. The
 * agent of one slot does one thing to one path at one moment; that of the other works as usual.
 */
import { appendFileSync, closeSync, constants, mkdirSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { VirtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { seededIds } from '../../product/twins/ids-seeded/seeded-ids.ts';
import { fileJournal } from '../../../adapters/journal-file/file-journal.ts';
import { memoryLog, type MemoryLog } from '../../product/twins/log-memory/memory-log.ts';
import { filesResultInbox } from '../../../adapters/results-files/files-result-inbox.ts';
import { memoryWire } from '../../product/twins/wire-memory/memory-wire.ts';
import { STEP_FAILED } from '../../../core/application/sidecar/engine/driver.ts';
import { createSidecar, type Sidecar } from '../../../core/application/sidecar/sidecar.ts';
import { SIDECAR_TIMING } from '../../../core/config/times.ts';
import type { Journal } from '../../../core/ports/journal.ts';
import type { WakeRunner } from '../../../core/ports/wake-runner.ts';
import { command } from '../../../plugins/command/index.ts';
import { obliging } from '../../core/sidecar/rig/sidecar-room.ts';
import { OPERATIONS, type Beside } from './operations.ts';

type Frame = Readonly<Record<string, unknown>>;

/** How the agent reports its result: by a file, or by its last line, which the runner reads from a file of the run. */
export type ResultChannel = 'by file' | 'by line';

export const STEPS = [
  'before the wake',
  'while it works',
  'right before its result',
  'after its result',
  'while the sidecar is down',
  'ended while the sidecar is down',
] as const;
export type Step = (typeof STEPS)[number];

export interface Cell {
  readonly channel: ResultChannel;
  readonly path: string;
  readonly operation: string;
  readonly step: Step;
}

export interface CellEnd {
  readonly cell: Cell;
  /** How the task of the hostile agent ended: the frame's type, with its reason. */
  readonly end: string;
  /** In virtual time, until everything was over. */
  readonly seconds: number;
  /** What must not happen. */
  readonly violations: readonly string[];
}

export interface CellPlace extends Beside {
  readonly dataDir: string;
  /** What agents are to do. */
  readonly words: string;
}

export const HOSTILE = 'task-00000000000000bb';
export const HONEST = 'task-00000000000000aa';
export const SECRET = 'the secret of another user';

/** By when, in virtual time, both tasks have ended. Reading an unreadable folder is retried for a minute. */
const ENDED_WITHIN_MS = 1_200_000;
const WORK_MS = 3_000;
const LOOK_EACH_MS = 50;
const TIMING = { ...SIDECAR_TIMING, wakeRetriesMs: [500, 1_000] };
const ENDS: readonly unknown[] = ['task_complete', 'task_failed', 'task_rejected', 'task_released'];

/** The paths of an agent, relative to the data directory; a folder ends with a slash. */
export const PATHS: Readonly<Record<string, string>> = {
  'its results folder': `results/${HOSTILE}.g1/`,
  'its run folder': `runs/${HOSTILE}.g1/`,
  'its result': `results/${HOSTILE}.g1/${HOSTILE}.json`,
  'its flat result': `results/${HOSTILE}.json`,
  'its flat started': `results/${HOSTILE}.started`,
  'its started': `results/${HOSTILE}.g1/${HOSTILE}.started`,
  'its progress': `results/${HOSTILE}.g1/${HOSTILE}.progress`,
  'its stop': `results/${HOSTILE}.g1/${HOSTILE}.stop`,
  'its task': `runs/${HOSTILE}.g1/task.json`,
  'its next task': `runs/${HOSTILE}.g1/task.json.next`,
  'its standard input': `runs/${HOSTILE}.g1/stdin`,
  'its standard output': `runs/${HOSTILE}.g1/stdout`,
  'its standard error': `runs/${HOSTILE}.g1/stderr`,
};

export async function playCell(cell: Cell, place: CellPlace, clock: VirtualClock): Promise<CellEnd> {
  const stage = new CellStage(cell.channel, place, clock);
  const beganMs = clock.monotonicMs();
  const violations: string[] = [];
  let isOver = true;
  try {
    await play(cell, place, stage);
    isOver = await stage.waitFor(() => stage.isAllOver(), ENDED_WITHIN_MS);
  } catch (thrown) {
    violations.push(`playing the cell failed: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`);
  }
  const seconds = Math.round((clock.monotonicMs() - beganMs) / 100) / 10;
  const ends = stage.endsOf(HOSTILE);
  const last = ends.at(-1);
  const reason = String(last?.['error'] ?? last?.['reason'] ?? '');
  if (!isOver) violations.push(`not over: slots ${JSON.stringify(stage.slots)}; ${stage.warnings()}`);
  if (last === undefined) violations.push('the task of the hostile agent has no end');
  else if (last['type'] !== 'task_complete' && reason === '') violations.push(`it ended without a reason: ${JSON.stringify(last)}`);
  const honest = stage.endsOf(HONEST).at(-1);
  if (honest?.['type'] !== 'task_complete') violations.push(`the honest task did not complete: ${JSON.stringify(honest)}`);
  if (stage.received.some((frame) => JSON.stringify(frame).includes(SECRET))) violations.push('another user’s data was reported');
  const broken = stage.log.lines.find(({ message }) => message === STEP_FAILED);
  if (broken !== undefined) violations.push(`an internal rule of the sidecar threw: ${JSON.stringify(broken.fields)}`);
  if (stage.finishedWith !== null) violations.push(`the sidecar ended: ${stage.finishedWith}`);
  if (!(await stage.stop())) violations.push('the sidecar did not stop');
  stage.letGo();
  violations.push(...changedElsewhere(place));
  return { cell, end: last === undefined ? 'none' : `${String(last['type'])} ${reason}`.trim(), seconds, violations };
}

/** The agent itself may write there; nothing else may. */
function changedElsewhere({ elsewhere }: CellPlace): readonly string[] {
  const own = new RegExp(`^(${HOSTILE}[.](started|progress|json)|not-there)$`);
  const names = readdirSync(elsewhere).filter((name) => !own.test(name));
  const isThere = names.join() === 'inner,secret.json' && readFileSync(join(elsewhere, 'secret.json'), 'utf8').includes(SECRET);
  return isThere ? [] : [`something was changed elsewhere: ${names.join()}`];
}

/** The events of a cell, until both agents have ended. */
async function play({ channel, path, operation, step }: Cell, place: CellPlace, stage: CellStage): Promise<void> {
  const relative = PATHS[path] as string;
  const target = join(place.dataDir, relative);
  const strike = (): void => OPERATIONS[operation]?.(target.replace(/\/$/, ''), place, relative.endsWith('/'));
  const endHostile = (): void => stage.endAgent(HOSTILE);
  const tellResult = (): unknown =>
    channel === 'by line'
      ? stage.line(HOSTILE, { status: 'success', output: 'told' })
      : stage.write(HOSTILE, 'json', { status: 'success', output: 'told' });

  if (step === 'before the wake') {
    mkdirSync(join(place.dataDir, 'results'), { recursive: true });
    mkdirSync(join(place.dataDir, 'runs'), { recursive: true });
    strike();
  }
  await stage.start();
  stage.offer(HOSTILE);
  stage.offer(HONEST);
  await stage.waitFor(() => stage.isWoken(HOSTILE) && stage.isWoken(HONEST), ENDED_WITHIN_MS);
  if (stage.isWoken(HOSTILE, true)) {
    stage.write(HOSTILE, 'started', {});
    stage.write(HOSTILE, 'progress', { percent: 1 });
    switch (step) {
      case 'before the wake':
        tellResult();
        endHostile();
        break;
      case 'while it works':
        strike();
        await stage.pass(WORK_MS);
        tellResult();
        endHostile();
        break;
      case 'right before its result':
        await stage.pass(WORK_MS);
        strike();
        tellResult();
        endHostile();
        break;
      case 'after its result':
        await stage.pass(WORK_MS);
        tellResult();
        strike();
        endHostile();
        break;
      case 'while the sidecar is down':
        await stage.stop();
        strike();
        await stage.start();
        await stage.pass(WORK_MS);
        tellResult();
        endHostile();
        break;
      case 'ended while the sidecar is down':
        await stage.stop();
        strike();
        tellResult();
        endHostile();
        await stage.start();
        break;
    }
  }
  stage.write(HONEST, 'started', {});
  if (channel === 'by line') stage.line(HONEST, { status: 'success', output: 'honest' });
  else stage.write(HONEST, 'json', { status: 'success', output: 'honest' });
  stage.endAgent(HONEST);
}

/** What is inspected in a saved state. */
interface Saved {
  readonly slots?: readonly Frame[];
  readonly outbox?: readonly unknown[];
}

/** The sidecar of a cell, its hub, and its agents: programs that wait at a FIFO until they are to print their line and end. */
class CellStage {
  readonly received: Frame[] = [];
  readonly log: MemoryLog = memoryLog();
  finishedWith: string | null = null;
  readonly #channel: ResultChannel;
  readonly #place: CellPlace;
  readonly #clock: VirtualClock;
  readonly #wire;
  #say: (frame: object) => void = () => undefined;
  #listening: Promise<void> | null = null;
  #sidecar: Sidecar | null = null;
  #starts = 0;
  /** What each agent waits at, kept open for reading too: what is written stays until it is read. */
  readonly #ends: ReadonlyMap<string, number>;
  #saved: Saved = {};

  constructor(channel: ResultChannel, place: CellPlace, clock: VirtualClock) {
    this.#channel = channel;
    this.#place = place;
    this.#clock = clock;
    this.#wire = memoryWire({ clock });
    this.#ends = new Map([HOSTILE, HONEST].map((taskId) => [taskId, openSync(join(place.words, `${taskId}.end`), constants.O_RDWR)]));
  }

  get slots(): readonly unknown[] {
    return (this.#saved.slots ?? []).map((slot) => [slot['taskId'], slot['status'], slot['stop']]);
  }

  async start(): Promise<void> {
    const { dataDir } = this.#place;
    this.#listening ??= this.#listen();
    await this.#listening;
    const [clock, log] = [this.#clock, this.log];
    this.#starts += 1;
    const journal = fileJournal({ dataDir, clock, log });
    const sidecar = createSidecar({
      config: {
        hubs: ['ws://hub:4000/ws'],
        agentId: 'worker-1',
        name: 'W',
        token: 'token',
        plainToken: true,
        capabilities: [],
        slots: 2,
        timing: TIMING,
      },
      link: this.#wire.link(),
      journal: this.#noting(journal),
      results: filesResultInbox({ dataDir, clock, log, resultStillMs: TIMING.resultStillMs, stabilityMs: 20 }),
      runner: await this.#runner(),
      clock,
      ids: seededIds({ seed: `${dataDir} ${this.#starts}` }),
      digest: systemDigest(),
      log,
      stopController: () => new AbortController(),
    });
    this.#sidecar = sidecar;
    sidecar.finished.catch((error: unknown) => (this.finishedWith = String(error)));
    await sidecar.start();
    await sidecar.ready;
  }

  /** Like SIGTERM: its agents continue. */
  async stop(): Promise<boolean> {
    let isStopped = this.#sidecar === null;
    void this.#sidecar?.stop().then(() => (isStopped = true));
    return await this.waitFor(() => isStopped, 60_000);
  }

  offer(taskId: string): void {
    this.#say({
      type: 'task_assign',
      task_id: taskId,
      generation: 1,
      description: 'count the words',
      assigned_at: this.#clock.nowMs(),
      run_max_ms: 3_600_000,
    });
  }

  endsOf = (taskId: string): readonly Frame[] =>
    this.received.filter((frame) => frame['task_id'] === taskId && ENDS.includes(frame['type']));

  /** Also where it never will be, unless `truly`. */
  isWoken(taskId: string, truly = false): boolean {
    const of = (frame: Frame): boolean => frame['task_id'] === taskId;
    return (
      this.received.some((frame) => of(frame) && frame['type'] === 'wake_result' && frame['status'] === 'success') ||
      (!truly && this.endsOf(taskId).length > 0)
    );
  }

  isAllOver(): boolean {
    const { slots = [{}], outbox = [{}] } = this.#saved;
    return [HOSTILE, HONEST].every((id) => this.endsOf(id).length > 0) && slots.length === 0 && outbox.length === 0;
  }

  /** What the agent of this task reports by a file, if it can. */
  write(taskId: string, file: 'started' | 'progress' | 'json', value: unknown): boolean {
    const path = join(this.#place.dataDir, 'results', `${taskId}.g1`, `${taskId}.${file}`);
    try {
      const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NONBLOCK, 0o600);
      try {
        writeSync(fd, `${JSON.stringify(value)}\n`);
      } finally {
        closeSync(fd);
      }
      return true;
    } catch {
      return false; // It has damaged its own folder.
    }
  }

  /** What it prints. */
  line(taskId: string, value: unknown): void {
    appendFileSync(join(this.#place.words, `${taskId}.line`), `${JSON.stringify(value)}\n`);
  }

  endAgent(taskId: string): void {
    writeSync(this.#ends.get(taskId) as number, '\n');
  }

  /** Agents that still wait end by this, as they do if this process is killed. */
  letGo(): void {
    for (const fd of this.#ends.values()) closeSync(fd);
  }

  pass(ms: number): Promise<boolean> {
    const untilMs = this.#clock.monotonicMs() + ms;
    return this.waitFor(() => this.#clock.monotonicMs() >= untilMs, ms);
  }

  /** False if it did not come true in time. */
  waitFor(isSo: () => boolean, withinMs: number): Promise<boolean> {
    const untilMs = this.#clock.monotonicMs() + withinMs;
    return new Promise((resolve) => {
      const look = (): void => {
        if (isSo()) resolve(true);
        else if (this.#clock.monotonicMs() > untilMs) resolve(false);
        else this.#clock.after(LOOK_EACH_MS, look);
      };
      look();
    });
  }

  warnings(): string {
    const bad = this.log.lines.filter(({ level }) => level === 'warn' || level === 'error');
    return bad
      .map(({ message, fields }) => `${message} ${JSON.stringify(fields)}`.slice(0, 300))
      .slice(-4)
      .join('\n');
  }

  async #runner(): Promise<WakeRunner> {
    const { dataDir, words } = this.#place;
    const begins = this.#channel === 'by line' ? 'echo "{\\"percent\\":1}"; ' : '';
    const program = `${begins}read -r _ < "$1.end"; [ -e "$1.line" ] && cat "$1.line"; exit 0`;
    const plugin = command({
      argv: ['sh', '-c', program, 'agent', join(words, '${TASK_ID}')],
      ...(this.#channel === 'by line' ? { report: 'last-json-line' as const } : {}),
    });
    return await plugin.create({ agentId: 'worker-1', baseDir: words, dataDir, clock: this.#clock, log: this.log });
  }

  #noting(journal: Journal): Journal {
    return {
      ...journal,
      save: async (state) => {
        await journal.save(state);
        this.#saved = JSON.parse(JSON.stringify(state)) as Saved;
      },
    };
  }

  async #listen(): Promise<void> {
    const bounds = { frameBytesMax: 1_048_576, unidentifiedBytesMax: Infinity, socketsMax: 10, socketQueueBytesMax: 4_194_304 };
    await this.#wire.transport().listen(
      { host: 'hub', port: 4000, ...bounds, http: () => ({ status: 404, headers: {}, body: null }), isAllowedOrigin: () => true },
      {
        onOpen: (connection) => void (this.#say = (frame) => connection.send(JSON.stringify(frame))),
        onFrame: (_connection, text) => {
          const frame = JSON.parse(text) as Frame;
          this.received.push(frame);
          obliging(frame, this.#say);
          if (frame['type'] === 'task_released')
            this.#say({ type: 'task_ack', task_id: String(frame['task_id']), generation: 1, status: 'released' });
        },
        onPong: () => undefined,
        onGone: () => undefined,
      },
    );
  }
}
