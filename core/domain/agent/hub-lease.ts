/** A hub among several on one store: live until its lease expires, in store time. */
import type { AgentId } from '../ids.ts';

/** The claim of a hub on its place in its cluster: valid until `untilMs` (milliseconds since 1970) unless renewed. */
export interface HubLease {
  readonly hubId: string;
  readonly untilMs: number;
}

/** A frame that one hub asks another to send, because the agent is connected there. */
export interface HubMail {
  /** Unique among all mail. */
  readonly id: string;
  /** The hub that sends it. */
  readonly hubId: string;
  /** The receiver; null: every agent of that hub. */
  readonly to: AgentId | null;
  readonly from: AgentId;
  /** JSON text. */
  readonly frame: string;
}
