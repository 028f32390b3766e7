/** J16: the effect of a model service outage on an attempt: it is handed back, and uses up nothing. */
import type { StoredEvent } from '../../../core/domain/task/event.ts';

export interface OutageDeps {
  readonly violated: (rule: string, what: string) => void;
}

/** What agents report during an outage, and only then. */
export const SERVICE_AWAY = 'planned: the service of the model is away';

export class OutageJudge {
  readonly #deps: OutageDeps;

  constructor(deps: OutageDeps) {
    this.#deps = deps;
  }

  committed(events: readonly StoredEvent[]): void {
    for (const { event, taskId, generation, agentId, details } of events) {
      const why = details?.['error'];
      if (event === 'failed' && typeof why === 'string' && why.includes(SERVICE_AWAY))
        this.#deps.violated('J16', `an attempt of ${taskId}.g${generation} on ${agentId} is spent: ${why}`);
    }
  }
}
