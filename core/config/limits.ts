/** Every bound of the hub, with its unit and default. Beyond a bound the answer is 429, 503 or a closed socket. */
export interface HubLimits {
  /** A frame from an identified sidecar, bytes. */
  readonly frameBytes: number;
  /** A frame before identify, bytes. */
  readonly unidentifiedFrameBytes: number;
  /** How long a socket may stay without identify, milliseconds. */
  readonly identifyMs: number;
  /** The body of a submit, bytes. */
  readonly submitBytes: number;
  readonly bulkLines: number;
  readonly bulkBytes: number;
  /** Bytes of request bodies of one token in hand at once, from their arrival to the answer; of one address without a token. */
  readonly bodyBytesPerToken: number;
  /** Commands waiting for a commit. */
  readonly inboxCommands: number;
  /** Their size, bytes. */
  readonly inboxBytes: number;
  /** Commands in one commit. */
  readonly batchCommands: number;
  /** Work in one commit: tasks read or written. A command that is more than that has a commit of its own. */
  readonly batchWork: number;
  /** Bytes waiting in one socket. */
  readonly socketQueueBytes: number;
  /** Progress events stored for one attempt. */
  readonly progressPerAttempt: number;
  /** Live output stored for one assignment, bytes: the newest; 0: none is stored. */
  readonly outputBytes: number;
  /** Completed and cancelled tasks stored; 0: any number, until they are past `endedKeptMs`. */
  readonly endedTasks: number;
  /** Entries of the audit log that are kept: the newest. */
  readonly auditEntries: number;
  readonly slotsPerAgent: number;
  readonly sockets: number;
  /** Sockets without identify; when all are taken, an address that has fewer displaces one of the address that has the most. */
  readonly unidentifiedSockets: number;
  /** Rows on a page. */
  readonly page: number;
  /** Reads of one token that run or wait their turn. */
  readonly readsPerToken: number;
  /** Time that reads of one token may take in a second, milliseconds; 0 is off. */
  readonly readMsPerSecond: number;
  /** Time that reads of one token may take at once, over `readMsPerSecond`, milliseconds. */
  readonly readBurstMs: number;
  /** Event streams open at once. */
  readonly streams: number;
  /** Requests of one token in a second; 0 is off. */
  readonly requestsPerSecond: number;
  /** Requests of one token at once, over `requestsPerSecond`. */
  readonly requestBurst: number;
  /** Different lists of needed capabilities that one token may ask for within an hour. */
  readonly capabilityListsPerToken: number;
  /** Frames of one agent in a second, over all its connections, whatever they are; 0 is off. */
  readonly agentFramesPerSecond: number;
  /** Frames of one agent at once, over `agentFramesPerSecond`. */
  readonly agentFrameBurst: number;
  /** Their length in a second, characters; 0 is off. */
  readonly agentBytesPerSecond: number;
  /** Their length at once, over `agentBytesPerSecond`. */
  readonly agentByteBurst: number;
  /** How late the event loop may be before bulk submits and reads are refused, milliseconds. */
  readonly loopDelayMs: number;
  /** Invalid frames of one socket within a minute before it is closed. */
  readonly invalidFrames: number;
}

/** Of the heads of frames, and of pings, before identify. Bytes. */
const UNIDENTIFIED_BESIDE = 4_096;

/** What a connection may send before it has identified, bytes: that frame, and as much of others that wait for its answer. */
export const unidentifiedBytesMax = ({ unidentifiedFrameBytes }: Pick<HubLimits, 'unidentifiedFrameBytes'>): number =>
  2 * unidentifiedFrameBytes + UNIDENTIFIED_BESIDE;

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
