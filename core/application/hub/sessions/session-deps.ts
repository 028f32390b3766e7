/** The dependencies that all sessions of a hub share. */
import type { AgentId } from '../../../domain/ids.ts';
import type { AgentStore } from '../../../ports/agent-store.ts';
import type { Digest, Ids } from '../../../ports/chance.ts';
import type { HubConnection } from '../../../ports/hub-transport.ts';
import type { Log } from '../../../ports/log.ts';
import type { V2FrameOf } from '../../../protocol/sidecar-frames.ts';
import type { RefusalCounts } from '../../refusal-counts.ts';
import type { NoteRefusal } from '../../refusal-log.ts';
import type { CommandInbox } from '../batch/commands.ts';
import type { HubContext } from '../batch/hub-context.ts';
import type { HubClock } from '../upkeep/hub-clock.ts';
import type { Roster } from '../batch/roster.ts';
import type { TokenUse } from '../upkeep/token-use.ts';
import type { AgentMeter } from './limits/agent-meter.ts';
import type { FrameRates } from './limits/frame-rates.ts';
import type { Frame } from './frames-out.ts';
import type { Throttle } from './limits/throttle.ts';

/** Who connects, or asks to. */
export type Peer = Pick<HubConnection, 'remoteAddress' | 'forwardedFor'>;

export interface SessionDeps {
  readonly inbox: CommandInbox;
  readonly agents: AgentStore;
  readonly clock: HubClock;
  readonly ids: Ids;
  readonly digest: Digest;
  readonly log: Log;
  readonly context: HubContext;
  /** Identifies the database; known once it is open. */
  readonly storeId: () => string;
  readonly roster: Roster;
  /** An agent that had too many unanswered bytes to get tasks may get some again. */
  readonly windowOpened: () => void;
  readonly throttle: Throttle;
  readonly tokenUse: Pick<TokenUse, 'note'>;
  /** Takes live output of an agent. Never waits. */
  readonly takeOutput: (frame: V2FrameOf<'task_output'>, agentId: AgentId) => void;
  /** Allowances per agent, over all of its connections. */
  readonly meter: AgentMeter;
  /** Frame and byte rates per agent. */
  readonly rates: FrameRates;
  /** Whether frames of this connection wait for a time slice. */
  readonly hasWaiting: (connection: HubConnection) => boolean;
  readonly agentMessages: boolean;
  /** Logs refusals, throttled by kind. */
  readonly noteRefusal: NoteRefusal;
  /** Refused frames by error code. */
  readonly refusedFrames: RefusalCounts;
  /** The peer, seen through trusted proxies: the key by which its failures are counted. */
  readonly addressOf: (peer: Peer) => string;
  /** The session of this connection is now the current one of its agent. */
  readonly registered: (connection: HubConnection) => void;
  /** Sends to an agent of this hub; false when it is not here. */
  readonly sendTo: (agentId: AgentId, frame: Frame) => boolean;
  /** Sends to every other version 1 agent of this hub, or, with `everyVersion`, to every other agent. */
  readonly broadcast: (from: AgentId, frame: Frame, everyVersion: boolean) => void;
}
