/** A hub among those that share a store: it counts as alive until its lease ends, by the store's clock. */
import type { AgentId } from '../ids.ts';

export interface HubLease {
  readonly hubId: string;
  readonly untilMs: number;
}

/** A frame that one hub asks another to send, because that one holds the socket. */
export interface HubMail {
  /** Unique among all mail. */
  readonly id: string;
  /** The hub that is to send it. */
  readonly hubId: string;
  /** To whom; null: to every agent of that hub. */
  readonly to: AgentId | null;
  readonly from: AgentId;
  /** JSON text. */
  readonly frame: string;
}
