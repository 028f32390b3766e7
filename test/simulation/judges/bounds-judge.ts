/** J13: whatever agents send, what is stored of it is bounded: bytes of an event, reports that change nothing, wakes of an attempt. */
import type { EventName, StoredEvent } from '../../../core/domain/task/event.ts';
import { utf8Bytes } from '../../../core/domain/encoded-text.ts';

export interface BoundsDeps {
  readonly violated: (rule: string, what: string) => void;
}

/** Details of one event, as JSON. */
const DETAILS_BYTES_MAX = 16_384;
/** How often each may be stored, and per what: refusals per agent and task; a late result per attempt; wakes per attempt. */
const TIMES_MAX: Readonly<Partial<Record<EventName, { readonly max: number; readonly ofTask: boolean }>>> = {
  report_refused: { max: 16, ofTask: true },
  late_result: { max: 1, ofTask: false },
  woken: { max: 1_000, ofTask: false },
  progress: { max: 1_000, ofTask: false },
};

export class BoundsJudge {
  readonly #deps: BoundsDeps;
  readonly #times = new Map<string, number>();

  constructor(deps: BoundsDeps) {
    this.#deps = deps;
  }

  committed(events: readonly StoredEvent[]): void {
    for (const one of events) {
      const { event, taskId, generation, agentId, details } = one;
      if (details !== null) this.#fits(one);
      const bound = TIMES_MAX[event];
      if (bound === undefined) continue;
      const name = `${event} of ${taskId}${bound.ofTask ? '' : `.g${generation}`} by ${agentId}`;
      const times = (this.#times.get(name) ?? 0) + 1;
      this.#times.set(name, times);
      if (times > bound.max) this.#deps.violated('J13', `${name} is stored ${times} times`);
    }
  }

  #fits({ event, taskId, agentId, details }: StoredEvent): void {
    const bytes = utf8Bytes(JSON.stringify(details));
    if (bytes > DETAILS_BYTES_MAX) this.#deps.violated('J13', `${event} of ${taskId} by ${agentId} stores ${bytes} bytes`);
  }
}
