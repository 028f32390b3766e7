/**
 * A small world for faults: the real hub over a real SQLite file, real sidecars with real journals and files, time
 * that is moved by hand and a network in memory. Clients repeat what was not answered, like the real client.
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { seededIds } from '../../product/twins/ids-seeded/seeded-ids.ts';
import { virtualClock, type VirtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { memoryWire, type MemoryWire } from '../../product/twins/wire-memory/memory-wire.ts';
import type { AnswerTo, Command, TaskDraft } from '../../../core/application/hub/batch/commands.ts';
import type { HubTiming } from '../../../core/config/times.ts';
import type { AgentId, Generation, TaskId } from '../../../core/domain/ids.ts';
import type { TokenRecord } from '../../../core/ports/agent-store.ts';
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import { aBody } from '../../product/contracts/fixtures.ts';
import { sqliteStorage } from '../../adapters/storage-places/sqlite-storage-place.ts';
import { readStored, type Stored } from '../../chaos/rig/stored.ts';
import { aDraft, hubRig, type HubRig } from '../../core/hub/hub-rig.ts';
import { IdleWatch } from './until-idle.ts';
import { Evidence } from './evidence.ts';
import { Machine } from './faulty-machine.ts';
import type { StatementFaults } from './statement-faults.ts';

export const TIMING: Partial<HubTiming> = {
  acceptMs: 20_000,
  leaseMs: 30_000,
  reconnectGraceMs: 15_000,
  quietAfterStartMs: 10_000,
  reconnectMaxMs: 4_000,
  sweepMs: 10_000,
  stopResendMs: 10_000,
  killGraceMs: 1_000,
  runMaxMs: 600_000,
  backoff: { firstMs: 500, maxMs: 4_000 },
  breaker: { firstMs: 10_000, maxMs: 60_000 },
};
/** Another program's lock is not waited for: the fault itself is under test. */
const BUSY_MS = 20;
/** Once faults are over, everything ends within this time, in steps. */
const ROUND_MS = 10_000;
const ROUNDS_MAX = 60;
/** On a file system where a sync costs nothing: order and answers are under test here, not the disk. */
const FOLDER = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
/** A client gives up for a while after this many attempts. */
const ANSWER_TRIES_MAX = 5;
const COMMANDS_FAIL_WITH = ['AC_STORE_UNAVAILABLE', 'AC_STORE_RETRY', 'AC_COMMIT_UNKNOWN', 'AC_HUB_STOPPING', 'AC_STORE_CLOSED'] as const;

type Operation = Extract<Command, { kind: 'cancel' | 'retry' | 'adopt' | 'agent_control' }>;

interface Submit {
  readonly key: string;
  readonly drafts: readonly TaskDraft[];
  isAnswered: boolean;
}

export class World {
  readonly clock: VirtualClock = virtualClock();
  readonly evidence = new Evidence();
  readonly statements: StatementFaults;
  readonly machines: Machine[] = [];
  /** Called with a machine before it starts. */
  onMachine: (() => void) | null = null;
  readonly #dir: string;
  readonly #idle = new IdleWatch(this.clock);
  readonly #wire: MemoryWire = memoryWire({ clock: this.clock });
  readonly #ids = seededIds({ seed: 'clients' });
  readonly #submits: Submit[] = [];
  readonly #operations: { readonly command: Operation; isAnswered: boolean }[] = [];
  /** Dead letters to be retried. */
  readonly #retries = new Set<TaskId>();
  #hub: HubRig | null = null;
  #hubs = 0;
  /** Number of its log lines already checked. */
  #linesSeen = 0;

  private constructor(dir: string, statements: StatementFaults) {
    this.#dir = dir;
    this.statements = statements;
  }

  /** A hub on an empty database. `template`: a copy of one, so that the schema is not created each time. */
  static async make(statements: StatementFaults, template: string | null): Promise<World> {
    const world = new World(mkdtempSync(join(FOLDER, 'agentcom-faults-')), statements);
    if (template !== null) copyFileSync(template, world.database);
    await world.startHub();
    return world;
  }

  get database(): string {
    return join(this.#dir, 'hub.db');
  }

  /** The running hub; fails if there is none. */
  get hub(): HubRig {
    if (this.#hub === null) throw new Error('no hub runs');
    return this.#hub;
  }

  get isHubRunning(): boolean {
    return this.#hub !== null;
  }

  /** Starts a hub; if it cannot start, it ends, as its program would. */
  async startHub(): Promise<void> {
    if (this.#hub !== null) return;
    this.#hubs += 1;
    this.#linesSeen = 0;
    const storage = this.#idle.watchingStorage(sqliteStorage(this.database, { busyMs: BUSY_MS, time: this.clock }));
    try {
      this.#hub = await hubRig({
        clock: this.clock,
        hubId: `hub-${this.#hubs}`,
        timing: TIMING,
        storage,
        wire: this.#wire,
        untilIdle: this.#idle.wait,
      });
    } catch (thrown) {
      if (!AgentcomError.is(thrown))
        this.evidence.violate('hub', `it ended with an error that is not an AgentcomError: ${messageOf(thrown)}`);
      await storage.close();
    }
  }

  async restartHub(how: 'stop' | 'kill'): Promise<void> {
    if (this.#hub !== null) {
      this.#judgeLog();
      const hub = this.#hub;
      this.#hub = null;
      await hub[how]();
    }
    await this.startHub();
  }

  /** A machine with a sidecar, which is started. */
  async machine(agentId: string, slots = 2): Promise<Machine> {
    const token = `token of ${agentId}`;
    await this.#addToken({
      id: `tok-${agentId}`,
      name: agentId,
      role: 'agent',
      agentId: agentId as AgentId,
      hash: systemDigest().sha256(token),
      prefix: token.slice(0, 8),
      capabilities: null,
      maxSlots: null,
      createdAtMs: this.clock.nowMs(),
      revokedAtMs: null,
      expiresAtMs: null,
      lastUsedAtMs: null,
      replacedBy: null,
      submitsAs: null,
    });
    const dataDir = join(this.#dir, agentId);
    mkdirSync(dataDir, { mode: 0o700 });
    const machine = new Machine({
      agentId,
      slots,
      token,
      dataDir,
      clock: this.clock,
      wire: this.#wire,
      idle: this.#idle,
      evidence: this.evidence,
    });
    this.machines.push(machine);
    this.onMachine?.();
    await machine.start();
    return machine;
  }

  /** Until it exists: an operator who creates a token sees whether it worked. */
  async #addToken(token: TokenRecord): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await this.hub.storage.agents.addToken(token);
        return;
      } catch (thrown) {
        const isExpected = COMMANDS_FAIL_WITH.some((code) => AgentcomError.is(thrown, code));
        if (!isExpected) this.evidence.violate('hub', `a token was answered with ${messageOf(thrown)}`);
        if (tries === ANSWER_TRIES_MAX) this.statements.count.disarm();
      }
    }
  }

  /** Submits tasks together, under a key; each is named by what its agent is to do. Returns their ids. */
  async submit(words: readonly string[], over: Partial<TaskDraft> = {}): Promise<readonly TaskId[]> {
    const drafts = words.map((description) => aDraft(this.#ids.task(), { body: aBody({ description }), ...over }));
    const submit: Submit = { key: `key-${this.#submits.length + 1}`, drafts, isAnswered: false };
    this.#submits.push(submit);
    await this.#sendSubmit(submit);
    return drafts.map(({ id }) => id);
  }

  async #sendSubmit(submit: Submit): Promise<void> {
    const { key, drafts } = submit;
    const idempotency = { key, name: null, digest: `digest of ${key}` };
    const answer = await this.#ask({ kind: 'submit', drafts, submittedBy: 'tok-client', idempotency });
    if (answer === null) return;
    if (!('tasks' in answer)) return this.evidence.violate('R1', `${key} was answered with ${answer.kind}`);
    submit.isAnswered = true;
    this.evidence.submitAnswered(
      key,
      answer.tasks.map(({ id }) => id),
    );
  }

  cancel(taskId: TaskId): Promise<void> {
    return this.#operate({ kind: 'cancel', taskId, by: 'op' });
  }

  retry(taskId: TaskId): Promise<void> {
    return this.#operate({ kind: 'retry', taskId, by: 'op' });
  }

  /** A retry is for a dead letter only: sent now if it is one, otherwise as soon as it is. */
  async retryOnceDead(taskId: TaskId): Promise<void> {
    this.#retries.add(taskId);
    await this.#sayRetries();
  }

  async #sayRetries(): Promise<void> {
    const { tasks } = await this.stored();
    for (const taskId of this.#retries) {
      const status = tasks.get(taskId)?.task.status;
      // A task whose first attempt was lost, but did not fail for good, never becomes a dead letter.
      if (status === 'completed') this.#retries.delete(taskId);
      if (status !== 'dead_letter') continue;
      this.#retries.delete(taskId);
      await this.retry(taskId);
    }
  }

  /** Until every submit was answered; each is repeated every second. With lasting faults it gives up. */
  async answered(): Promise<void> {
    for (let tries = 0; tries < ANSWER_TRIES_MAX; tries += 1) {
      const waiting = this.#submits.filter(({ isAnswered }) => !isAnswered);
      if (waiting.length === 0) return;
      for (const submit of waiting) await this.#sendSubmit(submit);
      await this.pass(1_000);
    }
    this.statements.count.disarm();
    await this.recover();
  }

  /** The tasks whose description begins with this word. */
  async tasksOf(word: string): Promise<readonly TaskId[]> {
    const { tasks } = await this.stored();
    return [...tasks.values()].filter(({ description }) => description.startsWith(`${word} `)).map(({ task }) => task.id);
  }

  adopt(taskId: TaskId, generation: Generation): Promise<void> {
    return this.#operate({ kind: 'adopt', taskId, generation, by: 'op' });
  }

  setAvailability(agentId: string, change: 'drain' | 'resume'): Promise<void> {
    return this.#operate({ kind: 'agent_control', agentId: agentId as AgentId, change });
  }

  async #operate(command: Operation): Promise<void> {
    const operation = { command, isAnswered: false };
    // An operator's latest command for an agent is what counts, and what is repeated.
    if (command.kind === 'agent_control')
      for (const older of this.#operations)
        older.isAnswered ||= older.command.kind === 'agent_control' && older.command.agentId === command.agentId;
    this.#operations.push(operation);
    await this.#sendOperation(operation);
  }

  async #sendOperation(operation: { readonly command: Operation; isAnswered: boolean }): Promise<void> {
    const answer = await this.#ask(operation.command);
    // Its task does not exist yet: its submit has not been answered.
    operation.isAnswered = answer !== null && !(answer.kind === 'refused' && answer.code === 'unknown_task');
  }

  /** Null: a hub that cannot commit says so, and one that is down says nothing. */
  async #ask<C extends Command>(command: C): Promise<AnswerTo<C> | null> {
    if (this.#hub === null) return null;
    try {
      return await this.#hub.queue.do(command);
    } catch (thrown) {
      const isExpected = COMMANDS_FAIL_WITH.some((code) => AgentcomError.is(thrown, code));
      if (!isExpected) this.evidence.violate('hub', `${command.kind} was answered with ${messageOf(thrown)}`);
      return null;
    } finally {
      await this.#idle.wait();
    }
  }

  async pass(ms: number): Promise<void> {
    await this.clock.walk(ms, this.#idle.wait);
    await this.#idle.wait();
  }

  async stored(): Promise<Stored> {
    return this.statements.count.uncounted(() => readStored(this.database));
  }

  /** R2: what was acknowledged so far was committed, whatever happens next. */
  async checkAcknowledged(): Promise<void> {
    const { tasks } = await this.stored();
    this.evidence.checkAcknowledged((id) => tasks.get(id)?.events ?? []);
  }

  /** Faults are over: what ended is restarted, what was not answered is repeated, and time passes until all has ended. */
  async recover(): Promise<void> {
    await this.startHub();
    if (this.#hub === null) return this.evidence.violate('R16', 'the hub does not start although nothing fails any more');
    for (const machine of this.machines) {
      machine.join();
      await machine.start();
      if (!machine.isRunning) this.evidence.violate('R16', 'a sidecar does not start although nothing fails any more');
    }
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      for (const submit of this.#submits) if (!submit.isAnswered) await this.#sendSubmit(submit);
      for (const operation of this.#operations) if (!operation.isAnswered) await this.#sendOperation(operation);
      await this.#sayRetries();
      await this.pass(ROUND_MS);
      if (await this.#isOver()) return;
    }
    const rest = [...(await this.stored()).tasks.values()].filter(({ task }) => !isOver(task.status));
    const histories = rest.map(({ task, events }) => `${task.id} is ${task.status}: ${events.map(({ event }) => event).join(' ')}`);
    this.evidence.violate('R16', `after ${(ROUNDS_MAX * ROUND_MS) / 1_000} s something is still in progress: ${histories.join('; ')}`);
  }

  async #isOver(): Promise<boolean> {
    const { tasks, stops } = await this.stored();
    if (stops.length > 0 || this.#retries.size > 0 || this.#submits.some(({ isAnswered }) => !isAnswered)) return false;
    if (![...tasks.values()].every(({ task }) => isOver(task.status))) return false;
    return this.machines.every((machine) => machine.filesIn('outbox').size === 0 && machine.agents.living().length === 0);
  }

  /** What the hub itself logs as broken, except for the planted faults. */
  #judgeLog(): void {
    if (this.#hub === null) return;
    const { lines } = this.#hub.log;
    for (const { level, message, fields } of lines.slice(this.#linesSeen)) {
      const { error } = fields;
      if (level !== 'error' || COMMANDS_FAIL_WITH.some((code) => AgentcomError.is(error, code))) continue;
      this.evidence.violate('hub', `${message}: ${messageOf(error)}`);
    }
    this.#linesSeen = lines.length;
  }

  /** Every submit with its outcome. */
  get submits(): readonly { readonly key: string; readonly drafts: readonly TaskDraft[] }[] {
    return this.#submits;
  }

  /** Ends everything and leaves nothing. */
  async end(): Promise<void> {
    this.#judgeLog();
    for (const machine of this.machines) machine.kill();
    await this.#hub?.kill();
    this.#hub = null;
    await this.#idle.wait();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

const isOver = (status: string): boolean => status === 'completed' || status === 'cancelled' || status === 'dead_letter';
