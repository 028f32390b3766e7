/** A sidecar that sends whatever a random history wants, and remembers what it received. */
import type { StoredEvent } from '../../../../core/domain/task/event.ts';
import type { TaskId } from '../../../../core/domain/ids.ts';
import type { AnyFrame, HubRig, Peer } from '../hub-rig.ts';
import type { ActOf, AGENTS } from './random-acts.ts';

interface Name {
  readonly taskId: TaskId;
  readonly generation: number;
}
type SidecarAct = ActOf<'identify'> | ActOf<'cut'> | ActOf<'report'> | ActOf<'confirm'> | ActOf<'say'> | ActOf<'recover'>;
type HistoryOf = (taskId: TaskId) => readonly StoredEvent[];

/** It refers to one of this many of its latest assignments. */
const LATEST = 4;
/** The frame for each kind of end. */
const FRAMES = { completed: 'task_complete', failed: 'task_failed', rejected: 'task_rejected', released: 'task_released' } as const;
const NOBODY_HAS: Name = { taskId: 'task-ffffffffffffffff' as TaskId, generation: 1 };

export class RandomSidecar {
  readonly id: string;
  readonly #slots: number;
  readonly #version: 1 | 2;
  #base: Peer | null = null;
  #peer: Peer | null = null;
  #older: Peer | null = null;
  /** All that it was ever assigned, oldest first. */
  readonly #given: Name[] = [];
  readonly #pendingCancels: Name[] = [];
  /** What it holds, as far as it knows. */
  readonly #has = new Map<string, Name>();

  constructor({ id, slots }: (typeof AGENTS)[number]) {
    this.id = id;
    this.#slots = slots;
    this.#version = id === 'old' ? 1 : 2;
  }

  /** A hub has started: its peers connect to it from now on. */
  async meet(rig: HubRig): Promise<void> {
    this.#base = await rig.peer(this.id);
    this.#peer = null;
    this.#older = null;
  }

  async act(act: SidecarAct, all: readonly RandomSidecar[], tasks: readonly TaskId[]): Promise<void> {
    switch (act.act) {
      case 'identify':
        return this.#identify(act);
      case 'cut':
        await this.#peer?.cut();
        this.#peer = null;
        return;
      case 'report':
        this.#speaking = act.onOlder === null ? 'last' : 'older';
        await this.#report(act, this.#pick(act, all, tasks));
        this.#speaking = 'last';
        return;
      case 'confirm': {
        const name = this.#pendingCancels[this.#pendingCancels.length - 1 - (act.task % Math.max(1, this.#pendingCancels.length))];
        if (name !== undefined) await this.#confirm(name);
        return;
      }
      case 'say':
        return this.#say(act.word);
      case 'recover':
        return this.#recover(act);
    }
  }

  /** Processes the frames received since the last call; returns those that report something that was never committed. */
  hear(historyOf: HistoryOf): readonly string[] {
    return (this.#peer?.newFrames() ?? []).flatMap((frame) => this.#take(frame, historyOf));
  }

  /** Behaves: is connected, holds only current assignments, completes what it is assigned and confirms what it is asked. */
  async work(): Promise<void> {
    if (this.#peer === null || this.#peer.closed() !== null || !this.#isIdentified) {
      await this.#identify({ act: 'identify', agent: 0, held: 'nothing', cutFirst: true });
    }
    this.hear(() => []);
    for (const name of [...this.#has.values()]) await this.#end('completed', name, { result: { by: this.id } });
    for (const name of this.#pendingCancels.splice(0)) await this.#confirm(name);
    if (this.#version === 1) await this.#peer?.send({ type: 'status', status: 'idle' });
    this.#has.clear();
    this.hear(() => []);
  }

  #isIdentified = false;
  #speaking: 'last' | 'older' = 'last';
  /** Ends that it reported, by name. */
  readonly #ended = new Set<string>();

  /** Whether it ever reported such an end of that assignment. */
  hasReported(event: string, taskId: TaskId, generation: number | null): boolean {
    return this.#ended.has(`${event} ${taskId} ${generation}`) || this.#ended.has(`${event} ${taskId}`);
  }

  async #identify({ held, cutFirst }: ActOf<'identify'>): Promise<void> {
    if (cutFirst) await this.#peer?.cut();
    this.#older = cutFirst ? null : this.#peer;
    const has = [...this.#has.values()];
    if (held === 'nothing') this.#has.clear();
    if (held === 'some') for (const name of has.filter((_, place) => place % 2 === 0)) this.#has.delete(keyOf(name));
    const status = held === 'unknown' || held === 'reporting' ? held : 'working';
    const ahead = held === 'ahead' ? 5 : 0;
    this.#peer = (await this.#base?.reconnect()) ?? null;
    this.#isIdentified = false;
    await this.#peer?.send({
      type: 'identify',
      agent_id: this.id,
      token: `token of ${this.id}`,
      capabilities: this.id === 'gpu' ? ['gpu'] : [],
      ...(this.#version === 1
        ? { protocol_version: 1, status: 'idle' }
        : {
            protocol_version: 2,
            slots: this.#slots,
            instance_id: 'machine-of-its-own',
            held: [...this.#has.values()].map((name) => ({ task_id: name.taskId, generation: name.generation + ahead, status })),
          }),
    });
  }

  #pick({ task, generation }: ActOf<'report'>, all: readonly RandomSidecar[], tasks: readonly TaskId[]): Name {
    const whose = generation === "another's" ? all.filter((one) => one !== this).flatMap((one) => one.#given) : this.#given;
    const name = whose[whose.length - 1 - (task % Math.min(LATEST, Math.max(1, whose.length)))];
    if (name === undefined) return { ...NOBODY_HAS, taskId: tasks[task % Math.max(1, tasks.length)] ?? NOBODY_HAS.taskId };
    const off = generation === 'older' ? -1 : generation === 'newer' ? 1 : 0;
    return { ...name, generation: Math.max(0, name.generation + off) };
  }

  async #report({ report }: ActOf<'report'>, name: Name): Promise<void> {
    switch (report) {
      case 'accepted':
        return this.#frame('task_accepted', name);
      case 'progress':
        return this.#frame('task_progress', name, { percent: 50 });
      case 'woken':
        return this.#frame('wake_result', name, { status: 'success' });
      case 'complete':
        return this.#end('completed', name, { result: { by: this.id } });
      case 'failed':
        return this.#end('failed', name, { error: 'boom', kind: 'agent_failed' });
      case 'wake_failed':
        return this.#end('failed', name, { error: 'no such program', kind: 'wake_failed' });
      case 'not_retryable':
        return this.#end('failed', name, { error: 'hopeless', kind: 'agent_failed', retryable: false });
      case 'rejected':
        return this.#end('rejected', name, { reason: 'busy' });
      case 'released':
        return this.#end(this.#version === 1 ? 'rejected' : 'released', name, { reason: 'not logged in' });
    }
  }

  /** Version 1 rejects without a generation: it applies to the current one. */
  async #end(event: keyof typeof FRAMES, name: Name, more: Readonly<Record<string, unknown>>): Promise<void> {
    this.#has.delete(keyOf(name));
    const isUnnamed = this.#version === 1 && event === 'rejected';
    this.#ended.add(`${event} ${isUnnamed ? name.taskId : keyOf(name)}`);
    await this.#frame(FRAMES[event], name, more);
  }

  async #confirm(name: Name): Promise<void> {
    this.#has.delete(keyOf(name));
    if (this.#version === 2) await this.#frame('task_cancel_ack', name, { outcome: 'killed' });
  }

  /** Version 1 names the generation of ends only. */
  async #frame(type: string, { taskId, generation }: Name, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const isNamed = this.#version === 2 || type === 'task_complete' || type === 'task_failed' || type === 'state_report';
    const peer = this.#speaking === 'older' ? this.#older : this.#peer;
    await peer?.send({ type, task_id: taskId, ...(isNamed ? { generation } : {}), ...more });
  }

  async #say(word: ActOf<'say'>['word']): Promise<void> {
    if (word === 'ping') await this.#peer?.send({ type: 'ping' });
    else if (word === 'idle') await this.#peer?.send({ type: 'status', status: 'idle' });
    else if (this.#version === 2) await this.#peer?.send({ type: 'runner_checks', ok: word === 'checks pass' });
  }

  async #recover({ task, how }: ActOf<'recover'>): Promise<void> {
    const name = this.#given[this.#given.length - 1 - (task % Math.max(1, this.#given.length))];
    if (this.#version === 2 || name === undefined) return;
    if (how === 'reconnected') return this.#frame('state_report', name, { status: 'working' });
    await this.#frame('task_recovering', name, { last_status: how === 'crashed at work' ? 'working' : 'accepted' });
  }

  #take(frame: AnyFrame, historyOf: HistoryOf): readonly string[] {
    const name: Name = { taskId: frame['task_id'] as TaskId, generation: frame['generation'] as number };
    switch (frame.type) {
      case 'identified':
        this.#isIdentified = true;
        for (const held of (frame['held'] ?? []) as readonly {
          readonly task_id: TaskId;
          readonly generation: number;
          readonly action: string;
        }[])
          if (held.action === 'abort') this.#has.delete(keyOf({ taskId: held.task_id, generation: held.generation }));
        return [];
      case 'task_assign':
        if (!this.#given.some((one) => keyOf(one) === keyOf(name))) this.#given.push(name);
        this.#has.set(keyOf(name), name);
        return this.#isTold(name, historyOf, 'assigned') ? [] : [`${this.id} was assigned ${keyOf(name)}, which was not committed`];
      case 'task_cancelled': {
        const latest = this.#given.findLast((one) => one.taskId === name.taskId)?.generation ?? 0;
        this.#pendingCancels.push({ taskId: name.taskId, generation: name.generation ?? latest });
        return [];
      }
      case 'task_ack':
        return this.#isAckTrue(frame, name, historyOf) ? [] : [`${this.id} got ${JSON.stringify(frame)}, which was not committed`];
      default:
        return [];
    }
  }

  #isAckTrue(frame: AnyFrame, name: Name, historyOf: HistoryOf): boolean {
    if (frame['generation'] === undefined) return true;
    switch (frame['status']) {
      case 'complete':
        return this.#isTold(name, historyOf, 'completed');
      case 'retried':
      case 'dead_letter':
        return this.#isTold(name, historyOf, 'failed');
      case 'late':
        return this.#isTold(name, historyOf, 'late_result');
      default:
        return this.#isTold(name, historyOf, String(frame['status']));
    }
  }

  #isTold({ taskId, generation }: Name, historyOf: HistoryOf, event: string): boolean {
    return historyOf(taskId).some((one) => one.event === event && one.generation === generation && one.agentId === this.id);
  }
}

const keyOf = ({ taskId, generation }: Name): string => `${taskId} ${generation}`;
