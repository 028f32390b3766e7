/** A machine with this project's sidecar: its journal, its files and its agents outlive the process. */
import { seededIds } from '../../product/twins/ids-seeded/seeded-ids.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { memoryJournal, type MemoryJournal } from '../../product/twins/journal-memory/memory-journal.ts';
import { memoryResultInbox, type MemoryResultInbox } from '../../product/twins/results-memory/memory-result-inbox.ts';
import type { JournalState } from '../../../core/application/sidecar/state/journal-state.ts';
import { SIDECAR_TIMING } from '../../../core/config/times.ts';
import { createSidecar, type Sidecar, type SidecarConfigPart } from '../../../core/application/sidecar/sidecar.ts';
import type { HubLink, LinkConnection } from '../../../core/ports/hub-link.ts';
import type { Journal } from '../../../core/ports/journal.ts';
import type { Chance } from '../seeded-chance.ts';
import { CrashLoops } from '../agents/crash-loop.ts';
import { countingLog, heedingLog } from './counting-log.ts';
import { Life, machineClock, mortal, processClock, type MachineClock } from '../runner/world-life.ts';
import { connectFrom, mortalEvents, mortalInbox, letIn, type CrashLoop, type Overtaken, type Machine } from './simulated-machine.ts';
import { AgentFleet } from '../agents/agent-fleet.ts';
import { FolderTrouble } from '../agents/folder-trouble.ts';
import { HeldAcceptances } from './held-acceptances.ts';
import type { MachinePlan } from '../plan.ts';
import type { Surroundings } from './simulated-surroundings.ts';

/** The path prefix under which the memory twin keeps what agents write. */
const RESULTS_ROOT = '/memory/';
/** More than any clock is off. */
const CLOCK_OFF_ANY_MS = 31_536_000_000;
/** The share of report bodies that a busy disk returns late, and by how much. */
const SLOW_READS = 0.2;
const SLOW_READ_MS = 300;

export class SidecarMachine implements Machine {
  readonly name: string;
  readonly agentId: string;
  readonly version = 2;
  /** The machine's name in its journal; the same in each copy of it. */
  instanceId: string;
  readonly #world: Surroundings;
  readonly #plan: MachinePlan;
  readonly #clock: MachineClock;
  /** On most machines a wrong clock must do no harm; on some their agents are assigned nothing because of it. */
  readonly #clockOffMaxMs: number;
  readonly #chance: Chance;
  readonly #fleet: AgentFleet;
  readonly #config: SidecarConfigPart;
  readonly trouble: FolderTrouble;
  readonly #held: HeldAcceptances;
  #journal: MemoryJournal;
  #results: MemoryResultInbox;
  #life: Life | null = null;
  #sidecar: Sidecar | null = null;
  #link: LinkConnection | null = null;
  #started = 0;
  #connection = 0;
  /** What the journal would return after a crash at this moment. */
  #isWriting = false;
  #isIdentified = false;
  #holdsJournal = false;
  #killAt: { writesLeft: number; readonly startAgain: () => void } | null = null;
  #breakLink: (staysOpen: boolean) => void = () => undefined;
  /** A connection that it has given up, and what the hub has yet to receive on it. */
  #overtaken: Overtaken | null = null;
  readonly #loops: CrashLoops;
  #clones = 0;
  #isSaving = false;
  /** The state whose save began last. */
  #begun: JournalState | null = null;
  #synced: JournalState | null = null;

  constructor(world: Surroundings, name: string, plan: MachinePlan) {
    this.#world = world;
    this.#plan = plan;
    this.name = name;
    this.agentId = plan.agentId;
    this.#chance = world.chanceOf(name);
    this.#loops = new CrashLoops(world, (downMs) => this.killFor(downMs, 0));
    this.#clock = machineClock(world.clock, plan.clockOffMs);
    this.#held = new HeldAcceptances(world, name);
    this.#clockOffMaxMs = world.chanceOf(`${name} clock`).is(0.3) ? SIDECAR_TIMING.clockOffMaxMs : CLOCK_OFF_ANY_MS;
    this.instanceId = `instance of ${name}`;
    this.#config = {
      hubs: world.hubUrls(name),
      agentId: plan.agentId,
      name,
      token: world.tokenOf(plan.agentId),
      capabilities: plan.capabilities,
      slots: plan.slots,
      timing: { ...world.plan.sidecarTiming, clockOffMaxMs: this.#clockOffMaxMs },
    };
    this.#journal = memoryJournal({ instanceId: this.instanceId, sync: () => this.#sync() });
    this.#results = memoryResultInbox({ clock: this.#clock, resultStillMs: world.plan.sidecarTiming.resultStillMs });
    this.#fleet = new AgentFleet({
      world,
      machine: name,
      clock: this.#clock,
      adoptable: plan.adoptable,
      chance: world.chanceOf(`${name} agents`),
      write: ({ resultsDir, taskId }, file, text) => this.#results.write(`${resultsDir.replace(RESULTS_ROOT, '')}/${taskId}.${file}`, text),
    });
    this.trouble = new FolderTrouble({
      world,
      name,
      clock: this.#clock,
      config: this.#config,
      journal: () => this.#journal,
      results: () => this.#results,
      holder: () => (this.#holdsJournal ? this.#life : null),
    });
  }

  get isRunning(): boolean {
    return this.#life !== null;
  }

  get connection(): number {
    return this.#connection;
  }

  /** What its journal holds, synced. */
  get journalState(): JournalState | null {
    return this.#synced;
  }

  start(): void {
    if (this.#life !== null) return;
    this.#started += 1;
    this.#world.trace.add(this.name, `starts (${this.#started})`);
    const life = new Life(this.#world.clock);
    this.#life = life;
    const clock = processClock(this.#clock, life);
    const sidecar = createSidecar({
      link: this.#linkOf(life),
      journal: mortal(this.#noticingJournal(), life),
      results: mortalInbox(this.#results, life),
      runner: this.#fleet.runnerFor(life),
      clock,
      ids: seededIds({ seed: `${this.#world.plan.seed} ${this.name} ${this.#started}` }),
      digest: systemDigest(),
      log: heedingLog(countingLog(this.name, this.#world.trace), (what) =>
        this.#world.violated('sidecar', `${this.name} broke an internal rule: ${what}`),
      ),
      stopController: () => new AbortController(),
      config: this.#config,
      ...this.#held.afterTurn(clock),
    });
    this.#sidecar = sidecar;
    sidecar.start().catch((error: unknown) => {
      if (life.isOver) return;
      this.#world.trace.add(this.name, `cannot start: ${String(error)}`);
      this.kill();
    });
    sidecar.finished.catch((error: unknown) => this.#world.violated('sidecar', `${this.name} broke an internal rule: ${String(error)}`));
  }

  kill(): void {
    const life = this.#life;
    if (life === null) return;
    this.#world.trace.add(this.name, 'killed');
    life.end();
    this.#world.trace.rare(this.#isWriting ? 'sidecar killed in a write' : 'sidecar killed when idle');
    const isTorn = this.#isSaving && this.#chance.is(0.3);
    this.#over({ keepUnsynced: isTorn || this.#chance.is(0.5) });
    // Half of the new state is on disk: the copy before it is the last good one.
    if (!isTorn) return;
    this.#journal.damage('newest');
    this.#world.trace.rare('journal torn');
  }

  killFor(downMs: number, atWrite: number): void {
    if (this.#life === null) return;
    const startAgain = (): void => this.#world.later(downMs, () => this.start());
    if (atWrite > 0) return void (this.#killAt = { writesLeft: atWrite, startAgain });
    this.kill();
    startAgain();
  }

  crashLoop(loop: CrashLoop): void {
    this.#loops.set(loop);
  }

  /** Another machine with a copy of its data folder, as from a restored backup or a cloned disk. */
  cloned(): SidecarMachine {
    this.#clones += 1;
    this.#world.trace.rare('data folder cloned');
    this.#world.ledger.copied();
    const clone = new SidecarMachine(this.#world, `${this.agentId}@${this.name.split('@')[1]}c${this.#clones}`, this.#plan);
    clone.#journal = this.#journal.copied(() => clone.#sync());
    clone.instanceId = this.instanceId;
    return clone;
  }

  resetLink(overtaken: readonly Readonly<Record<string, unknown>>[]): void {
    const link = this.#link;
    const isUp = this.#isIdentified && link !== null;
    this.#breakLink(isUp && overtaken.length > 0);
    if (isUp && overtaken.length > 0) this.#overtaken = { link, frames: overtaken };
  }

  /** A newer connection is about to send: what is still in flight on the one before arrives meanwhile. */
  #letLateFramesIn(): void {
    if (this.#overtaken !== null) letIn(this.#world, this.#overtaken);
    this.#overtaken = null;
  }

  say(frame: Readonly<Record<string, unknown>>): void {
    if (this.#isIdentified) this.#link?.send(JSON.stringify({ ...frame, foreign: true }));
  }

  reboot(): void {
    // No agent is left to tell the hub.
    this.#world.network.halfOpen(this.#connection, 'both');
    this.#fleet.killAll();
    this.kill();
  }

  stop(): void {
    const life = this.#life;
    if (life === null || this.#sidecar === null) return;
    this.#holdsJournal = false;
    this.#world.trace.add(this.name, 'stops');
    this.#sidecar.stop().then(
      () => {
        if (this.#life !== life) return;
        life.end();
        this.#over({ keepUnsynced: true });
      },
      (error: unknown) => this.#world.violated('sidecar', `${this.name} did not stop: ${String(error)}`),
    );
  }

  #over(crash: { readonly keepUnsynced: boolean }): void {
    this.#holdsJournal = false;
    [this.#life, this.#sidecar] = [null, null];
    this.#link?.destroy();
    this.#link = null;
    [this.#isWriting, this.#isIdentified] = [false, false];
    this.#killAt = null;
    this.#breakLink = () => undefined;
    this.#overtaken?.link.destroy();
    this.#overtaken = null;
    this.#world.ledger.absent(this.agentId, this.#connection);
    this.#journal.crash(crash);
    this.#journal = this.#journal.reopen();
    void this.#results.close();
    this.#results = this.#results.reopen();
  }

  freeze(ms: number): void {
    this.#world.trace.add(this.name, `is frozen for ${ms} ms`);
    this.#life?.freeze(ms);
  }

  jumpClock(ms: number): void {
    this.#world.trace.add(this.name, `its clock jumps by ${ms} ms`);
    this.#clock.jump(ms);
  }

  failJournal(nth: number): void {
    this.#journal.failWrite(nth);
    this.#world.trace.rare('journal write fails');
  }

  failPrepare(): void {
    this.#results.failPrepare();
  }

  killAgent(place: number): void {
    this.#fleet.killOne(place);
  }

  endFaults(storeMs: number): void {
    this.trouble.endFaults();
    this.#killAt = null;
    this.#loops.set(null);
    // Where agents are assigned nothing because the clock differs from the hub's, it is set to the hub's.
    const isHubs = this.#clockOffMaxMs !== CLOCK_OFF_ANY_MS;
    const byMs = isHubs ? storeMs - this.#clock.nowMs() : -this.#clock.offMs;
    if (byMs !== 0) this.#clock.jump(byMs);
  }

  get busyWith(): string | null {
    const { slots = [], outbox = [] } = this.#synced ?? {};
    const [[slot], [entry]] = [slots, outbox];
    if (slot !== undefined) return `${slot.taskId}.g${slot.generation} is ${slot.status}`;
    if (entry !== undefined) return `the report "${entry.report}" of ${entry.taskId}.g${entry.generation} is unanswered`;
    const [run] = this.#fleet.living();
    return run === undefined ? null : `${run} lives`;
  }

  /** Markers of the results that the hub refused, kept for the operator. */
  refused(): ReadonlyMap<string, { readonly text: string }> {
    return this.#journal.refused();
  }

  async #sync(): Promise<void> {
    const life = this.#life;
    if (life === null) return;
    if (this.#chance.is(this.#world.faults.journalFails)) this.failJournal(1);
    const ms = this.#chance.between(0, 4);
    // The journal's crash handles a dead process's write.
    this.#isWriting = true;
    if (this.#killAt !== null && --this.#killAt.writesLeft === 0) {
      const { startAgain } = this.#killAt;
      this.#killAt = null;
      this.#world.later(0, () => {
        this.kill();
        startAgain();
      });
      return await new Promise(() => undefined);
    }
    if (ms > 0) await Promise.allSettled([life.wait(ms)]);
    this.#isWriting = false;
  }

  #noticingJournal(): Journal {
    const journal = this.#journal;
    return {
      ...journal,
      open: async () => {
        const opened = await journal.open();
        this.#mustHaveKept(opened.state);
        this.#isSaving = false;
        this.#holdsJournal = true;
        this.#synced = (opened.state as JournalState | undefined) ?? null;
        return opened;
      },
      save: async (state) => {
        this.#isSaving = true;
        this.#begun = state as JournalState;
        await journal.save(state).finally(() => (this.#isSaving = false));
        this.#synced = state as JournalState;
      },
      readReport: async (name) => {
        // What the hub sends meanwhile comes first.
        const life = this.#life;
        if (life !== null && this.#chance.is(SLOW_READS)) await Promise.allSettled([life.wait(this.#chance.between(5, SLOW_READ_MS))]);
        return await journal.readReport(name);
      },
    };
  }

  /** J5: what was answered as saved is there, or a newer state. */
  #mustHaveKept(state: unknown): void {
    const found = JSON.stringify(state);
    if (this.#synced === null || [this.#synced, this.#begun].some((each) => JSON.stringify(each) === found)) return;
    this.#world.violated('J5', `${this.name}: its journal does not hold what was answered as saved`);
  }

  #sendUnlessDying(text: string, link: LinkConnection, life: Life): boolean {
    const [, type = ''] = /^\{"type":"([a-z_]+)"/.exec(text) ?? [];
    if (this.#loops.endsBefore(type, life)) return true;
    const isSent = link.send(text);
    if (isSent) this.#held.sent(text);
    this.#loops.endsAfter(type, life);
    return isSent;
  }

  #linkOf(life: Life): HubLink {
    return {
      connect: (target, events) => {
        const { link, connection } = connectFrom(this.#world, this.name, target, {
          ...mortalEvents(events, life),
          onFrame: (text) => {
            if (text.startsWith('{"type":"identified"') && this.#link === link) {
              this.#isIdentified = true;
              if (this.#loops.endsAt('identified', life)) return;
            }
            if (text.startsWith('{"type":"task_assign"') && this.#loops.endsAt('offered', life)) return;
            life.arrive(() => events.onFrame(text));
          },
          onGone: (code, reason) => {
            if (this.#link === link) this.#isIdentified = false;
            this.#world.ledger.absent(this.agentId, connection);
            life.arrive(() => events.onGone(code, reason));
          },
        });
        [this.#connection, this.#link] = [connection, link];
        this.#isIdentified = false;
        const gone = (): void => {
          [this.#breakLink, this.#isIdentified] = [() => undefined, false];
          this.#world.ledger.absent(this.agentId, connection);
        };
        this.#breakLink = (staysOpen) => {
          gone();
          if (!staysOpen) link.destroy();
          life.arrive(() => events.onGone(1006, 'reset'));
        };
        return {
          send: (text) => {
            if (text.startsWith('{"type":"identify"')) this.#letLateFramesIn();
            return this.#sendUnlessDying(text, link, life);
          },
          bufferedBytes: () => link.bufferedBytes(),
          destroy: () => {
            gone();
            link.destroy();
          },
        };
      },
    };
  }
}
