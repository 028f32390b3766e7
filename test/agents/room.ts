/** One program in one case: an empty home, a folder to work in, and its own sidecar at the hub that all cases share. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HistoryEntry, NamedCheckJson, TaskDetail } from '../../apps/client/types.ts';
import type { Acceptance } from '../../core/domain/task/task.ts';
import type { Program, World } from '../apps/app-world.ts';
import { WRONG_KEY, type FakeModel, type ModelCall } from './fake-model/fake-model.ts';
import type { Installed } from './install.ts';
import type { AgentPlace, AgentProgram, WakeOptions } from './real-program.ts';

/** For what takes a program no more than its start and two calls of its model: the slowest needs 30 s on two busy cores. */
const WAIT_MS = 180_000;
/** How long leftovers of a run may take to disappear after its end was reported. */
const GONE_WITHIN_MS = 20_000;
const LOOK_EACH_MS = 50;

export interface RoomOptions {
  readonly world: World;
  readonly model: FakeModel;
  readonly program: AgentProgram;
  readonly installed: Extract<Installed, { kind: 'installed' }>;
  /** Of the case. */
  readonly name: string;
  readonly isKeyWrong: boolean;
  /** On top of those of the program, which it receives. */
  readonly options: (own: WakeOptions, place: AgentPlace) => Promise<WakeOptions> | WakeOptions;
}

/** What a task contains besides its description. */
export interface TaskMore {
  readonly max_retries?: number;
  readonly accept?: Acceptance;
}

export interface Room {
  readonly program: AgentProgram;
  readonly agentId: string;
  /** Where the agent works. */
  readonly cwd: string;
  readonly home: string;
  /** Submits a task for this agent alone; returns its id. */
  submit(description: string, more?: TaskMore): Promise<string>;
  task(id: string): Promise<TaskDetail>;
  /** Waits for an event of the task and returns the newest of this name, from its history. */
  event(id: string, ...names: readonly HistoryEntry['event'][]): Promise<HistoryEntry>;
  /** Waits for its end, which must be `completed`, without having been handed back. */
  completed(id: string): Promise<TaskDetail>;
  /** Waits for its end, whatever it is. */
  ended(id: string): Promise<TaskDetail>;
  cancel(id: string): Promise<void>;
  pausedCause(): Promise<string | null>;
  /** Waits until the hub has the results of the runner's checks, and returns what is wrong; empty: nothing. */
  failedChecks(): Promise<readonly NamedCheckJson[]>;
  /** Waits for a file in `cwd`. */
  file(name: string): Promise<void>;
  /** Waits until this many calls of its model have failed. */
  calledInVain(times: number): Promise<void>;
  /** The calls of the model so far. */
  calls(): readonly ModelCall[];
  killSidecar(): Promise<void>;
  /** Tells it to stop, and waits until it has. */
  stopSidecar(): Promise<void>;
  startSidecar(): Promise<void>;
  /** What the sidecar has logged. */
  log(): string;
  /** What happened to its tasks, one line per event. */
  histories(): Promise<string>;
  /** Ends every process of the task with SIGKILL. */
  killAgent(id: string): void;
  /** Fails unless nothing of the task's runs is left, or will be in a moment. */
  nothingLeft(id: string): Promise<void>;
  /** Makes the program forget its sessions. */
  forgetSessions(): Promise<void>;
  close(): Promise<void>;
}

export async function openRoom({ world, model, program, installed, name, isKeyWrong, options }: RoomOptions): Promise<Room> {
  const agentId = `${program.name}-${name}`;
  const folder = join(world.dir, `place-${agentId}`);
  const [home, cwd] = [join(folder, 'home'), join(folder, 'project')];
  await mkdir(join(home, 'tmp'), { recursive: true });
  await mkdir(cwd, { recursive: true });
  const key = `${isKeyWrong ? WRONG_KEY : 'right-key'}-${agentId}`;
  const place: AgentPlace = { file: installed.file, path: installed.path, home, cwd, modelUrl: model.url, key };
  const [runner, own] = await program.wake(place);
  const wake = { ...own, ...(await options(own, place)) };
  const start = (): Promise<Program> => world.startSidecar(agentId, { wake: [runner, wake] });
  let startedAtMs = Date.now();
  let sidecar = await start();
  const tasks: string[] = [];
  const newest = async (id: string, names: readonly string[]): Promise<HistoryEntry | undefined> =>
    (await world.api.tasks.get(id)).history.findLast(({ event }) => names.includes(event));

  const room: Room = {
    program,
    agentId,
    cwd,
    home,
    async submit(description, more = {}) {
      const { task_id: id } = await world.api.tasks.submit({ description, assign_to: agentId, max_retries: 0, ...more });
      tasks.push(id);
      return id;
    },
    task: (id) => world.api.tasks.get(id),
    async event(id, ...names) {
      await world.event(id, names, WAIT_MS);
      return (await newest(id, names)) as HistoryEntry; // it was just seen
    },
    async completed(id) {
      await world.event(id, ['completed', 'dead_lettered', 'released'], WAIT_MS);
      const task = await world.api.tasks.get(id);
      assert.equal(task.status, 'completed', `the task is ${task.status}: ${String(task.last_error)}`);
      return task;
    },
    async ended(id) {
      await world.event(id, ['completed', 'dead_lettered', 'cancelled'], WAIT_MS);
      return world.api.tasks.get(id);
    },
    async cancel(id) {
      await world.api.tasks.cancel(id);
    },
    async pausedCause() {
      return (await world.api.agents.get(agentId)).paused_cause ?? null;
    },
    async failedChecks() {
      await until('the checks', WAIT_MS, async () => ((await world.api.agents.get(agentId)).checks?.reported_at ?? 0) > startedAtMs);
      return (await world.api.agents.get(agentId)).checks?.failed ?? [];
    },
    file: (file) => until(`a file ${file}`, WAIT_MS, () => existsSync(join(cwd, file))),
    calledInVain: (times) =>
      until(`${times} calls of its model that fail`, WAIT_MS, () => {
        return model.calls(key).filter(({ status }) => status !== 200).length >= times;
      }),
    calls: () => model.calls(key),
    async killSidecar() {
      await sidecar.kill('SIGKILL');
    },
    async stopSidecar() {
      await sidecar.kill('SIGTERM');
    },
    async startSidecar() {
      startedAtMs = Date.now();
      sidecar = await start();
    },
    log: () => sidecar.log(),
    async histories() {
      const all = await Promise.all(tasks.map(async (id) => (await world.api.tasks.get(id)).history));
      return all.flatMap((history) => history.map(({ event, details }) => `${event} ${JSON.stringify(details ?? {})}`)).join('\n');
    },
    killAgent(id) {
      for (const pid of processesOf(id)) kill(pid);
    },
    nothingLeft: (id) => until('the end of all its processes', GONE_WITHIN_MS, () => processesOf(id).length === 0),
    forgetSessions: () => rm(join(home, program.sessions ?? ''), { recursive: true, force: true }),
    async close() {
      await sidecar.kill('SIGTERM');
      for (const pid of tasks.flatMap(processesOf)) kill(pid);
    },
  };
  return room;
}

async function until(what: string, withinMs: number, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + withinMs;
  while (!(await isSo())) {
    assert.ok(performance.now() < untilMs, `waited ${String(withinMs)} ms for ${what}`);
    await sleep(LOOK_EACH_MS);
  }
}

/** The living processes that carry the task's id, found without the code under test. */
function processesOf(taskId: string): readonly number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => environmentOf(pid).includes(`AGENTCOM_TASK_ID=${taskId}\0`)).map(Number);
}

function environmentOf(pid: string): string {
  try {
    return `${readFileSync(`/proc/${pid}/environ`, 'latin1')}\0`;
  } catch {
    return ''; // It has ended meanwhile, or is a zombie.
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // It has ended meanwhile.
  }
}
