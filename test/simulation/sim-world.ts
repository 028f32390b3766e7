/** A simulated world: one clock, one network, one database, one to three hubs, machines with sidecars and agents, and the judges that watch them. */
import { virtualClock, type VirtualClock } from '../product/twins/clock-virtual/virtual-clock.ts';
import { systemDigest } from '../../adapters/ids-system/system-digest.ts';
import { memoryDatabase, type MemoryDatabase } from '../../adapters/storage-memory/memory-database.ts';
import type { Crossing } from '../product/twins/wire-memory/crossing.ts';
import { memoryWire, type MemoryWire } from '../product/twins/wire-memory/memory-wire.ts';
import { HUB_LIMITS } from '../../core/config/limits.ts';
import { newAgent } from '../../core/domain/agent/agent.ts';
import { utf8Bytes } from '../../core/domain/encoded-text.ts';
import type { AgentId, Generation, TaskId } from '../../core/domain/ids.ts';
import { markerOf } from './agents/simulated-agents.ts';
import { checkStep, checkWhole } from './judges/check-step.ts';
import { chance, placed, type Chance } from './seeded-chance.ts';
import { HubNode } from './machines/hub-node.ts';
import { Ledger, type Finished, type Violation } from './judges/sim-ledger.ts';
import type { Machine } from './machines/simulated-machine.ts';
import { simulatedNetwork, type SimulatedNetwork } from './machines/simulated-network.ts';
import type { FaultPlan, Plan } from './plan.ts';
import { SidecarMachine } from './machines/sidecar-machine.ts';
import { BoundsJudge } from './judges/bounds-judge.ts';
import { NO_EDGES } from './edges.ts';
import { HostileAgent } from './agents/hostile-agent.ts';
import { OutageJudge } from './judges/outage-judge.ts';
import { LOOK_MS, PatienceJudge } from './judges/patience-judge.ts';
import { RightsJudge } from './judges/rights-judge.ts';
import type { SeenCommit, Surroundings } from './machines/simulated-surroundings.ts';
import { createTrace, type Trace } from './runner/trace.ts';
import { V1Machine } from './machines/v1-machine.ts';

/** No fault happens by itself. */
export const NO_FAULTS: FaultPlan = {
  busy: 0,
  unknownCommit: 0,
  failedCommit: 0,
  commitMs: 2,
  slow: 0,
  doubled: 0,
  queueBytes: 0,
  spawnFails: 0,
  badAgents: 0,
  journalFails: 0,
  notificationsLost: 0,
  answersLost: 0,
  hugeWords: 0,
  largeTasks: 0,
};

/** Type, task and, if present, generation. */
const TASK_FRAME = /^\{"type":"(task_[a-z]+|wake_result)","task_id":"(task-[0-9a-f]+)"(?:,"generation":(\d+))?/;

/** Frames in which an agent reports what it holds. */
const RETURNS: readonly string[] = ['identify', 'task_recovering', 'state_report'];

/** A frame that takes longer may be overtaken by a newer connection. */
const LATE_MS = 100;

const digest = systemDigest();

export class World implements Surroundings {
  readonly plan: Plan;
  readonly clock: VirtualClock = virtualClock();
  readonly trace: Trace;
  readonly database: MemoryDatabase = memoryDatabase('store-1');
  readonly ledger: Ledger;
  readonly network: SimulatedNetwork;
  readonly wire: MemoryWire;
  readonly hubs: readonly HubNode[];
  readonly #hostiles: HostileAgent[];
  readonly #machines: Machine[];
  readonly #rights: RightsJudge;
  readonly #patience: PatienceJudge;
  readonly #bounds: BoundsJudge;
  readonly #outages: OutageJudge;
  #lookedMs = 0;
  #awayUntilMs = 0;
  readonly violations: Violation[] = [];
  /** How often things go wrong by themselves, at present. */
  faults: FaultPlan;
  /** Called when a sidecar has just reported that this task is complete. */
  onCompleting: (taskId: TaskId) => void = () => undefined;
  #lastConnection = 0;
  #eventsSeen = 0;
  readonly #sessions = new Map<AgentId, number>();

  constructor(plan: Plan, keepTrace: boolean) {
    this.plan = plan;
    this.faults = plan.faults;
    this.trace = createTrace(this.clock, keepTrace);
    const { clock, database, trace } = this;
    const violated = (rule: string, what: string): void => this.violated(rule, what);
    this.ledger = new Ledger({ clock, database, timing: plan.timing, violated });
    this.#rights = new RightsJudge({ clock, database, violated });
    this.#bounds = new BoundsJudge({ violated });
    this.#outages = new OutageJudge({ violated });
    this.#patience = new PatienceJudge({
      clock,
      database,
      timing: plan.timing,
      hubs: () => this.hubs.map((hub) => hub.state),
      awaySinceMs: (agentId) => this.ledger.awaySinceMs(agentId),
      violated,
    });
    this.network = simulatedNetwork({
      chance: this.chanceOf('network'),
      losing: this.chanceOf('answers'),
      trace,
      faults: () => this.faults,
      onFrame: (crossing, node) => this.#heardFrame(crossing, node),
    });
    this.wire = memoryWire({
      clock,
      fate: (crossing) => {
        this.#lastConnection = Math.max(this.#lastConnection, crossing.connection);
        const arrivals = this.network.fate(crossing);
        for (const { delayMs } of arrivals) if (delayMs > LATE_MS) this.later(delayMs, () => this.#arrivedLate(crossing));
        return arrivals;
      },
    });
    const isAlone = plan.hubs.length === 1;
    this.hubs = plan.hubs.map((hub, n) => new HubNode(this, isAlone ? 'hub' : `hub-${n + 1}`, hub));
    this.#machines = plan.machines.map((machine, n) => {
      const name = `${machine.agentId}@m${n + 1}`;
      return machine.version === 1 ? new V1Machine(this, name, machine) : new SidecarMachine(this, name, machine);
    });
    const { hostiles } = plan.edges ?? NO_EDGES;
    this.#hostiles = hostiles.map((hostile, place) => new HostileAgent(this, hostile, place + 1));
    for (const { agentId } of plan.machines) this.#enrol(agentId as AgentId);
    for (const { agentId, takesTasks } of hostiles) this.#enrol(agentId as AgentId, !takesTasks);
  }

  get machines(): readonly Machine[] {
    return this.#machines;
  }

  get hostiles(): readonly HostileAgent[] {
    return this.#hostiles;
  }

  /** Two hostile agents with a copy of the machine's token and instance id fight for its identity. */
  pose({ agentId, instanceId }: { readonly agentId: string; readonly instanceId: string }): void {
    this.trace.rare('identity fought for');
    this.ledger.copied();
    for (const place of ['p1', 'p2']) {
      const poser = new HostileAgent(this, { agentId, version: 2, takesTasks: false }, `${place}-${instanceId}`, instanceId);
      this.#hostiles.push(poser);
      poser.start();
    }
  }

  get isServiceAway(): boolean {
    return this.clock.monotonicMs() < this.#awayUntilMs;
  }

  /** For this long, no model answers; 0: the service is back. */
  loseService(ms: number): void {
    this.#awayUntilMs = this.clock.monotonicMs() + ms;
  }

  /** Adds a machine and starts it. */
  addMachine(machine: Machine): void {
    this.#machines.push(machine);
    machine.start();
  }

  /** A named stream of random choices of this seed. */
  chanceOf(name: string): Chance {
    return chance(`${this.plan.seed} ${name}`);
  }

  later = (ms: number, act: () => void): void => void this.clock.after(ms, act);

  violated(rule: string, what: string): void {
    this.trace.add('!!!', `${rule}: ${what}`);
    this.violations.push({ rule, what, atMs: this.clock.monotonicMs() });
  }

  tokenOf(agentId: string): string {
    return `token of ${agentId}`;
  }

  addressOf(machine: string): string {
    const place = this.#machines?.findIndex(({ name }) => name === machine) ?? 0;
    return `10.0.0.${place + 1}`;
  }

  agentOf(connection: number): string {
    return this.network.nodeOf(connection).split('@')[0] ?? '?';
  }

  lastConnection(): number {
    return this.#lastConnection;
  }

  othersLive(hub: { readonly name: string }): boolean {
    return this.hubs.some((other) => other !== hub && other.open !== null);
  }

  hubUrls(machine: string): readonly string[] {
    const urls = this.hubs.map(({ url }) => url);
    const first = placed(urls, this.chanceOf(`hubs of ${machine}`).next());
    return [first, ...urls.filter((url) => url !== first)];
  }

  /** A hub that takes commands, chosen by a number from 0 to 1; null if none does. */
  openHub(place: number): NonNullable<HubNode['open']> | null {
    const open = this.hubs.flatMap((hub) => hub.open ?? []);
    return open.length === 0 ? null : placed(open, place);
  }

  /** The store's time. */
  get storeMs(): number {
    return (this.hubs[0] as HubNode).storeMs;
  }

  committed({ hub, changes, nowMs, begunAtMs, couldGo }: SeenCommit): void {
    const events = this.database.events.slice(this.#eventsSeen);
    this.#eventsSeen = this.database.events.length;
    for (const { event, taskId, generation, agentId, details } of events) {
      this.trace.add('store', `${event} ${taskId}.g${generation} ${agentId} ${details === null ? '' : JSON.stringify(details)}`);
      this.trace.rare(`event ${event}`);
    }
    this.ledger.committed(events, begunAtMs, hub);
    this.#rights.committed(events);
    this.#bounds.committed(events);
    this.#outages.committed(events);
    this.#patience.committed(changes, nowMs);
    const { database, plan } = this;
    const step = { database, changes, events, nowMs, couldGo, sweepMs: plan.timing.sweepMs, sessions: this.#sessions };
    for (const { rule, what } of checkStep(step)) this.violated(rule, what);
  }

  /** Checks, as time passes, whether anything takes too long. */
  look(): void {
    const nowMs = this.clock.monotonicMs();
    if (nowMs < this.#lookedMs + LOOK_MS) return;
    this.#lookedMs = nowMs;
    this.#patience.look();
  }

  /** Checks what only shows over time, and the invariants over the whole store instead of step by step. */
  checkWhole(): void {
    const { database, plan, hubs, storeMs } = this;
    const someLives = hubs.some((hub) => hub.open !== null);
    const healthySinceMs = someLives ? Math.max(...hubs.map((hub) => hub.healthySinceMs)) : Infinity;
    for (const what of hubs.flatMap((hub) => hub.misplaced())) this.violated('I14', what);
    for (const { rule, what } of checkWhole(database, storeMs, plan.timing.sweepMs, healthySinceMs)) this.violated(rule, what);
  }

  /** Results that sidecars keep because the hub refused them. */
  refusedResults(): readonly Finished[] {
    return this.machines.flatMap((machine) => {
      if (!(machine instanceof SidecarMachine)) return [];
      return [...machine.refused().values()].flatMap(({ text }): Finished[] => {
        const frame = JSON.parse(text) as { readonly task_id: TaskId; readonly generation: Generation; readonly result?: unknown };
        const marker = markerOf(frame.result);
        return marker === null ? [] : [{ taskId: frame.task_id, generation: frame.generation, marker }];
      });
    });
  }

  #arrivedLate({ kind, from, connection }: Crossing): void {
    if (kind === 'frame' && from === 'sidecar' && this.ledger.isReplaced(this.agentOf(connection), connection))
      this.trace.rare('frame overtaken');
  }

  #enrol(agentId: AgentId, draining = false): void {
    const token = this.tokenOf(agentId);
    if (this.database.agents.has(agentId)) return;
    this.database.agents.set(agentId, { ...newAgent(agentId), draining });
    this.database.tokens.set(`tok-${agentId}`, {
      id: `tok-${agentId}`,
      name: agentId,
      role: 'agent',
      agentId,
      hash: digest.sha256(token),
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
  }

  /** Tells the ledger what it must know about a frame at the moment it is sent. */
  #heardFrame({ from, text, connection }: Crossing, node: string): void {
    const type = /^\{"type":"([a-z_]+)"/.exec(text)?.[1] ?? '?';
    if (from === 'sidecar' && utf8Bytes(text) > HUB_LIMITS.frameBytes) this.ledger.saidTooMuch(this.agentOf(connection));
    this.trace.rare(`frame ${from === 'hub' ? '←' : '→'} ${type}`);
    if (from === 'sidecar' && RETURNS.includes(type)) this.#rights.returned(this.agentOf(connection));
    if (from === 'sidecar' && type === 'identify') {
      const { held } = JSON.parse(text) as { readonly held?: readonly { readonly task_id: TaskId; readonly generation: number }[] };
      // An agent that holds an assignment has accepted it, and says so by reporting it.
      for (const one of held ?? []) this.ledger.said(this.agentOf(connection), 'held', one.task_id, String(one.generation));
    }
    if (from === 'hub' && type === 'identified') {
      if (this.ledger.isOpenElsewhere(this.agentOf(connection), connection)) this.#rights.replaced(this.agentOf(connection));
      this.ledger.present(this.agentOf(connection), connection, node, this.network.hubOf(connection));
    }
    if (from === 'hub' && type === 'task_assign') {
      const { task_id: taskId, generation } = JSON.parse(text) as { readonly task_id: TaskId; readonly generation: number };
      this.#rights.pushed(taskId, generation, this.ledger.mayBeQuiet(this.network.hubOf(connection)));
    }
    if (text.includes('"agent_id_in_use"')) this.trace.rare('agent id in use');
    const [, said, taskId, generation = ''] = from === 'hub' ? [] : (TASK_FRAME.exec(text) ?? []);
    if (said !== undefined && taskId !== undefined) this.ledger.said(this.agentOf(connection), said, taskId, generation);
    if (said === 'task_complete') this.onCompleting(taskId as TaskId);
    if (text.endsWith(',"foreign":true}')) return;
    if (type !== 'task_ack' && type !== 'task_accepted') return;
    const frame = JSON.parse(text) as { task_id: TaskId; generation?: Generation; status?: string };
    if (type === 'task_ack') {
      this.ledger.acknowledged(this.agentOf(connection), frame.task_id, frame.generation ?? null, frame.status ?? '');
      return;
    }
    const machine = this.machines.find(({ name }) => name === node);
    if (machine instanceof SidecarMachine && frame.generation !== undefined)
      this.ledger.acceptSent({ taskId: frame.task_id, generation: frame.generation }, machine.journalState);
  }
}
