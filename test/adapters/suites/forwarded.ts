/**
 * Subjects whose adapters are hidden behind objects that have the members of their port and nothing else, like
 * decorators. A suite that relies on anything beyond the port fails over them.
 */
import type { AgentStore } from '../../../core/ports/agent-store.ts';
import type { Ids } from '../../../core/ports/chance.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { ClusterUnit } from '../../../core/ports/cluster-unit.ts';
import type { EventFeed } from '../../../core/ports/event-feed.ts';
import type { HubLink, LinkConnection } from '../../../core/ports/hub-link.ts';
import type { HubNotifier } from '../../../core/ports/hub-notifier.ts';
import type { HubConnection, HubTransport } from '../../../core/ports/hub-transport.ts';
import type { Journal } from '../../../core/ports/journal.ts';
import type { Log } from '../../../core/ports/log.ts';
import type { ResultInbox } from '../../../core/ports/result-inbox.ts';
import type { Storage } from '../../../core/ports/storage.ts';
import type { StoreUnit, TaskStore } from '../../../core/ports/task-store.ts';
import type { WakeRunner } from '../../../core/ports/wake-runner.ts';
import type { InboxSubject } from '../../product/contracts/files/inbox-place.ts';
import type { JournalSubject } from '../../product/contracts/files/journal.contract.ts';
import type { FilesSubject } from '../../product/contracts/runner/wake-runner-subject.ts';
import type { StorageSubject } from '../../product/contracts/storage/storage-room.ts';
import type { HubTransportSubject } from '../../product/contracts/wire/hub-transport.contract.ts';

/** Every member of a port, so that a new one must be added here. */
type MembersOf<T> = { readonly [Name in keyof Required<T>]: true };

/** An object with these members of `inner`, except for those in `own`. An optional member that is missing is left out. */
export function forwarding<T extends object>(inner: T, members: MembersOf<T>, own: Partial<T> = {}): T {
  const outer = {};
  for (const name of Object.keys(members) as (string & keyof T)[]) {
    if (inner[name] === undefined) continue;
    const get = (): unknown => {
      if (name in own) return own[name];
      const value: unknown = inner[name];
      return typeof value === 'function' ? value.bind(inner) : value;
    };
    Object.defineProperty(outer, name, { enumerable: true, get });
  }
  return outer as T;
}

const STORAGE: MembersOf<Storage> = {
  name: true,
  tasks: true,
  agents: true,
  events: true,
  output: true,
  audit: true,
  notifier: true,
  open: true,
  close: true,
  healthy: true,
  deadlocks: true,
};
const TASKS: MembersOf<TaskStore> = {
  capabilities: true,
  nowMs: true,
  wallMs: true,
  lastUsedMs: true,
  transact: true,
  committed: true,
  read: true,
  history: true,
  keptResult: true,
  list: true,
  beginningWith: true,
  stats: true,
  oldestReady: true,
  peek: true,
  nextDueAtMs: true,
};
const UNIT: MembersOf<StoreUnit> = {
  nowMs: true,
  removableMs: true,
  isExclusive: true,
  cluster: true,
  load: true,
  read: true,
  takeAgents: true,
  waitingRequirements: true,
  claimable: true,
  due: true,
  dueAssignees: true,
  dependentsOf: true,
  bodies: true,
  heldCounts: true,
  activeAgents: true,
  remove: true,
  removeAgents: true,
  save: true,
};
const CLUSTER: MembersOf<ClusterUnit> = { renewLease: true, expireHubs: true, tryTakeDuty: true, takeMail: true, agentsOf: true };
const AGENTS: MembersOf<AgentStore> = {
  addToken: true,
  findToken: true,
  findTokenByHint: true,
  listTokens: true,
  revokeTokens: true,
  rotateToken: true,
  getToken: true,
  endsAmong: true,
  noteTokensUsed: true,
  lockedOutAmong: true,
  addEnrolSecret: true,
  findEnrolSecret: true,
  takeEnrolSecret: true,
  listAgents: true,
  getAgent: true,
  removeAgent: true,
};
const EVENTS: MembersOf<EventFeed> = { after: true, marks: true };
const NOTIFIER: MembersOf<HubNotifier> = { notify: true, listen: true };

export function forwardedStorage(inner: Storage): Storage {
  const { tasks } = inner;
  return forwarding(inner, STORAGE, {
    tasks: forwarding(tasks, TASKS, { transact: (batchId, work) => tasks.transact(batchId, (unit) => work(forwardedUnit(unit))) }),
    agents: forwarding(inner.agents, AGENTS),
    events: forwarding(inner.events, EVENTS),
    notifier: forwarding(inner.notifier, NOTIFIER),
  });
}

function forwardedUnit(unit: StoreUnit): StoreUnit {
  const { cluster } = unit;
  return forwarding(unit, UNIT, cluster === null ? {} : { cluster: forwarding(cluster, CLUSTER) });
}

export const forwardedStorages = (subject: StorageSubject): StorageSubject => ({
  ...subject,
  async place(t) {
    const place = await subject.place(t);
    return { ...place, storage: async (clock) => forwardedStorage(await place.storage(clock)) };
  },
});

const JOURNAL: MembersOf<Journal> = {
  open: true,
  save: true,
  writeReport: true,
  readReport: true,
  removeReport: true,
  refuseReport: true,
  room: true,
  close: true,
};

/** A place receives the inner journal: what it does to it is not part of the port. */
export const forwardedJournals = (subject: JournalSubject): JournalSubject => ({
  async place(t) {
    const place = await subject.place(t);
    const { outer, innerOf } = pairs<Journal>((inner) => forwarding(inner, JOURNAL));
    return {
      ...place,
      journal: () => outer(place.journal()),
      die: (journal) => place.die(innerOf(journal)),
      failNextWrite: (journal) => place.failNextWrite(innerOf(journal)),
    };
  },
  unwritable: async (t) => forwarding(await subject.unwritable(t), JOURNAL),
});

const INBOX: MembersOf<ResultInbox> = {
  open: true,
  prepare: true,
  pathsOf: true,
  watch: true,
  scan: true,
  unwatch: true,
  withdraw: true,
  withdrawAllExcept: true,
  keepResult: true,
  keptBytes: true,
  listFolders: true,
  remove: true,
  close: true,
};

export const forwardedInboxes = (subject: InboxSubject): InboxSubject => ({
  async place(t) {
    const place = await subject.place(t);
    const { outer, innerOf } = pairs<ResultInbox>((inner) => forwarding(inner, INBOX));
    return { ...place, inbox: () => outer(place.inbox()), breakPrepare: (inbox) => place.breakPrepare(innerOf(inbox)) };
  },
});

const TRANSPORT: MembersOf<HubTransport> = { name: true, capabilities: true, listen: true, refuseNew: true, close: true };
const CONNECTION: MembersOf<HubConnection> = {
  id: true,
  remoteAddress: true,
  forwardedFor: true,
  send: true,
  ping: true,
  identified: true,
  bufferedBytes: true,
  pause: true,
  resume: true,
  close: true,
};
const LINK: MembersOf<HubLink> = { connect: true };
const LINK_CONNECTION: MembersOf<LinkConnection> = {
  send: true,
  bufferedBytes: true,
  pause: true,
  resume: true,
  destroy: true,
  leave: true,
};

function forwardedTransport(inner: HubTransport): HubTransport {
  const { outer } = pairs<HubConnection>((connection) => forwarding(connection, CONNECTION));
  return forwarding(inner, TRANSPORT, {
    listen: (options, { onOpen, onFrame, onPong, onGone }) =>
      inner.listen(options, {
        onOpen: (connection) => onOpen(outer(connection)),
        onFrame: (connection, text) => onFrame(outer(connection), text),
        onPong: (connection) => onPong(outer(connection)),
        onGone: (connection, code) => onGone(outer(connection), code),
      }),
  });
}

/** Both ends of the wire. */
export function forwardedWire<S extends HubTransportSubject>(subject: S): S {
  const { link } = subject;
  const connect: HubLink['connect'] = (target, events) => forwarding(link.connect(target, events), LINK_CONNECTION);
  return { ...subject, transport: () => forwardedTransport(subject.transport()), link: forwarding(link, LINK, { connect }) };
}

const RUNNER: MembersOf<WakeRunner> = { adoptable: true, wake: true, attach: true, check: true };

export const forwardedRunners = ({ follows, world }: FilesSubject): FilesSubject => ({
  follows,
  async world() {
    const inner = await world();
    return { ...inner, runner: async (behavior) => forwarding(await inner.runner(behavior), RUNNER) };
  },
});

export const forwardedClock = (inner: Clock): Clock => forwarding(inner, { nowMs: true, monotonicMs: true, after: true });

export const forwardedIds = (inner: Ids): Ids => forwarding(inner, { task: true, random: true, secret: true, jitter: true });

export const forwardedLog = (inner: Log): Log =>
  forwarding(
    inner,
    { debug: true, info: true, warn: true, error: true, with: true },
    { with: (fields) => forwardedLog(inner.with(fields)) },
  );

/** One outer object for each inner one, by which it is found again. */
function pairs<T extends object>(make: (inner: T) => T): { outer(inner: T): T; innerOf(outer: T): T } {
  const outers = new WeakMap<T, T>();
  const inners = new WeakMap<T, T>();
  return {
    outer(inner) {
      const outer = outers.get(inner) ?? make(inner);
      outers.set(inner, outer);
      inners.set(outer, inner);
      return outer;
    },
    innerOf(outer) {
      const inner = inners.get(outer);
      if (inner === undefined) throw new Error('this object was not made here');
      return inner;
    },
  };
}
