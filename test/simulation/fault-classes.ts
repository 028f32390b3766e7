/** The classes of faults that the simulation must cover, each with the counters that count for it. */
export interface FaultClass {
  readonly name: string;
  /** Names, or prefixes of names, of counters in the trace. */
  readonly counted: readonly string[];
}

export const FAULT_CLASSES: readonly FaultClass[] = [
  { name: 'hub kill -9 before its commit', counted: ['hub killed at begin', 'hub killed at commit'] },
  { name: 'hub kill -9 after its commit, before the answer', counted: ['hub killed at committed'] },
  { name: 'hub kill -9 between batches', counted: ['hub killed when idle'] },
  { name: 'sidecar kill -9 in a write of its journal', counted: ['sidecar killed in a write'] },
  { name: 'sidecar kill -9', counted: ['sidecar killed when idle'] },
  { name: 'power lost', counted: ['act machine_reboot'] },
  { name: 'agent killed', counted: ['agent killed', 'agent dies'] },
  { name: 'agent hung', counted: ['agent hangs', 'agent never_starts'] },
  { name: 'agent that ignores its stop, or survives it', counted: ['agent ignores_stop', 'agent survives'] },
  { name: 'agent that cannot be spawned', counted: ['agent cannot be spawned'] },
  { name: 'result half written, or no result', counted: ['agent half_written', 'agent garbage'] },
  { name: 'poisoned result', counted: ['agent misbehaves: poison'] },
  { name: 'malformed output of a runner', counted: ['agent misbehaves: odd'] },
  { name: 'runner that throws', counted: ['agent misbehaves: breaks'] },
  { name: 'model service unavailable', counted: ['agent without its service'] },
  { name: 'oversized output of a runner', counted: ['agent output too large'] },
  { name: 'folders that refuse access', counted: ['folders refuse'] },
  { name: 'second sidecar on one folder', counted: ['second sidecar on one folder'] },
  { name: 'frame lost', counted: ['frame lost'] },
  { name: 'frame duplicated', counted: ['frame doubled'] },
  { name: 'frame delayed', counted: ['frame late'] },
  { name: 'frame overtaken by a newer connection', counted: ['frame overtaken'] },
  { name: 'end that overtakes its acceptance', counted: ['end without its acceptance'] },
  { name: 'answer to the end of an assignment lost, with its connection', counted: ['answer lost'] },
  { name: 'half-open socket, partition', counted: ['half-open socket', 'partition'] },
  { name: 'one agent id on two machines', counted: ['agent id in use'] },
  { name: 'slow consumer disconnected over its limit', counted: ['slow consumer closed'] },
  { name: 'clock jump of the hub', counted: ['act hub_jump'] },
  { name: 'clock jump of a machine', counted: ['act machine_jump'] },
  { name: 'journal write fails', counted: ['journal write fails'] },
  { name: 'journal torn by a crash', counted: ['journal torn'] },
  { name: 'store busy', counted: ['store busy'] },
  { name: 'store unavailable or failing', counted: ['store away', 'store failed'] },
  { name: 'commit fails while a batch based on it waits', counted: ['early batch void'] },
  { name: 'commit of unknown outcome', counted: ['commit unknown'] },
  { name: 'notification between hubs lost', counted: ['notification lost'] },
  { name: 'notification between hubs delayed', counted: ['notification late'] },
  { name: 'hub lease expired by another', counted: ['hub lease expired'] },
  { name: 'hub kill -9 with sockets, while others live', counted: ['hub with sockets killed while others live'] },
  { name: 'store unavailable to one of several hubs', counted: ['store away from one of several hubs'] },
  { name: 'hub clocks that differ', counted: ['hub with a wrong clock'] },
  { name: 'two hubs sweep at once', counted: ['duty had by another hub'] },
  { name: 'row locked by another hub, deadlock', counted: ['statement waited for a row', 'deadlock'] },
  { name: 'hub stalled', counted: ['act hub_freeze', 'hub stalled over a deadline'] },
  { name: 'sidecar stalled', counted: ['act machine_freeze'] },
  { name: 'agent that claims the assignments of others', counted: ['hostile held'] },
  { name: 'agent that floods the hub with reports', counted: ['hostile task_', 'hostile wake_result', 'hostile state_report'] },
  { name: 'frame over a limit, or invalid', counted: ['hostile odd frame'] },
  { name: 'clock step of a hub alone, up to a year', counted: ['act clock_step'] },
  { name: 'crash loop before an accept', counted: ['crash loop at offered', 'crash loop at accepting'] },
  {
    name: 'crash loop after an accept',
    counted: ['crash loop at accepted', 'crash loop at running', 'crash loop at woken', 'crash loop at report'],
  },
];

/** How often faults of a class occurred. */
export const countOf = (one: FaultClass, seen: ReadonlyMap<string, number>): number => {
  let count = 0;
  for (const [name, times] of seen) if (one.counted.some((beginning) => name.startsWith(beginning))) count += times;
  return count;
};
