/** Every limit of the hub, with its unit and default. Exceeding a limit results in 413, 429, 503, a closed socket, or a shortened text. */
export interface HubLimits {
  /** A frame from an identified sidecar, bytes. */
  readonly frameBytes: number;
  /** A frame before identify, bytes. */
  readonly unidentifiedFrameBytes: number;
  /** How long a socket may stay open without identifying, milliseconds. */
  readonly identifyMs: number;
  /** The body of a submit, bytes. */
  readonly submitBytes: number;
  readonly bulkLines: number;
  readonly bulkBytes: number;
  /** Bytes of request bodies that one token, or one address without a token, may have in flight, from arrival to response. */
  readonly bodyBytesPerToken: number;
  /** Commands waiting for a commit. */
  readonly inboxCommands: number;
  /** The total size of these commands, bytes. */
  readonly inboxBytes: number;
  /** Commands in one commit. */
  readonly batchCommands: number;
  /** Work in one commit: tasks read or written. A command that exceeds this gets a commit of its own. */
  readonly batchWork: number;
  /** Unsent bytes of one socket. */
  readonly socketQueueBytes: number;
  /** Progress events stored for one attempt. */
  readonly progressPerAttempt: number;
  /** Live output stored for one assignment, bytes; the newest is kept. 0: none is stored. */
  readonly outputBytes: number;
  /** Completed and cancelled tasks stored; 0: any number, until they are past `endedKeptMs`. */
  readonly endedTasks: number;
  /** How many of the newest entries of the audit log are kept. */
  readonly auditEntries: number;
  readonly slotsPerAgent: number;
  /** Sockets open at once. As many again may wait for `unidentifiedSockets`. */
  readonly sockets: number;
  /**
   * Sockets that have not identified. When all are taken, others wait before they are opened. One of an address that has
   * clearly fewer does not wait but displaces one of the address that has the most.
   */
  readonly unidentifiedSockets: number;
  /** Rows on a page. */
  readonly page: number;
  /** Reads of one token that are running or queued. */
  readonly readsPerToken: number;
  /** Time that reads of one token may take per second, milliseconds; 0 disables the limit. */
  readonly readMsPerSecond: number;
  /** Time that reads of one token may take in a burst above `readMsPerSecond`, milliseconds. */
  readonly readBurstMs: number;
  /** Event streams open at once. */
  readonly streams: number;
  /** Requests of one token per second; 0 disables the limit. */
  readonly requestsPerSecond: number;
  /** Requests of one token in a burst above `requestsPerSecond`. */
  readonly requestBurst: number;
  /** Different lists of needed capabilities that one token may use within an hour. */
  readonly capabilityListsPerToken: number;
  /** Frames of any type from one agent per second, over all its connections; 0 disables the limit. */
  readonly agentFramesPerSecond: number;
  /** Frames of one agent in a burst above `agentFramesPerSecond`. */
  readonly agentFrameBurst: number;
  /** The total length of these frames per second, characters; 0 disables the limit. */
  readonly agentBytesPerSecond: number;
  /** The total length of these frames in a burst above `agentBytesPerSecond`, characters. */
  readonly agentByteBurst: number;
  /** How late the event loop may be before bulk submits and reads are refused, milliseconds. */
  readonly loopDelayMs: number;
  /** Invalid frames of one socket within a minute before it is closed. */
  readonly invalidFrames: number;
}

/** Allowance for the headers of frames, and for pings, before identify. Bytes. */
const UNIDENTIFIED_BESIDE = 4_096;

/** What a connection may send before it has identified, bytes: one frame of the maximum size, and as much again until that is answered. */
export const unidentifiedBytesMax = ({ unidentifiedFrameBytes }: Pick<HubLimits, 'unidentifiedFrameBytes'>): number =>
  2 * unidentifiedFrameBytes + UNIDENTIFIED_BESIDE;

/** What all connections that have not identified may hold together, if each can hold a whole frame. Bytes; as much as 2,000 with 132 KiB each. */
const UNIDENTIFIED_BYTES = 268_435_456;

/** How many connections may be unidentified at once, on a transport that does or does not see only whole frames. */
export const unidentifiedSocketsMax = (
  { unidentifiedSockets, frameBytes }: Pick<HubLimits, 'unidentifiedSockets' | 'frameBytes'>,
  wholeFrames: boolean,
): number => (wholeFrames ? Math.min(unidentifiedSockets, Math.max(1, Math.floor(UNIDENTIFIED_BYTES / frameBytes))) : unidentifiedSockets);

export const HUB_LIMITS: HubLimits = {
  frameBytes: 1_048_576,
  unidentifiedFrameBytes: 65_536,
  identifyMs: 10_000,
  submitBytes: 262_144,
  bulkLines: 10_000,
  bulkBytes: 16_777_216,
  bodyBytesPerToken: 33_554_432,
  inboxCommands: 20_000,
  inboxBytes: 67_108_864,
  batchCommands: 1_000,
  batchWork: 2_000,
  socketQueueBytes: 4_194_304,
  progressPerAttempt: 1_000,
  outputBytes: 262_144,
  endedTasks: 0,
  auditEntries: 100_000,
  slotsPerAgent: 128,
  sockets: 12_000,
  unidentifiedSockets: 2_000,
  page: 500,
  readsPerToken: 64,
  readMsPerSecond: 250,
  readBurstMs: 1_000,
  streams: 500,
  requestsPerSecond: 1_000,
  requestBurst: 5_000,
  capabilityListsPerToken: 256,
  agentFramesPerSecond: 1_000,
  agentFrameBurst: 10_000,
  agentBytesPerSecond: 8_388_608,
  agentByteBurst: 67_108_864,
  loopDelayMs: 1_000,
  invalidFrames: 10,
};
