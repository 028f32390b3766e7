/** Close codes of sockets, and the reason that goes with a code. */
import { utf8Bytes } from '../domain/encoded-text.ts';

export const CLOSE_CODES = {
  /** The peer leaves: a sidecar that stops for good, or a hub that has heard nothing of its agent. */
  leaving: 1001,
  /** The peer broke the WebSocket protocol. */
  protocol: 1002,
  /** A binary frame. */
  notText: 1003,
  /** The connection ended without a close frame. */
  abnormal: 1006,
  /** A text frame that is not UTF-8. */
  notUtf8: 1007,
  /** A frame in too many fragments, or a policy violation. */
  policy: 1008,
  tooLarge: 1009,
  /** An internal error. */
  internal: 1011,
  /** The hub is stopping or restarting: sidecars reconnect soon, to another hub if they know one. */
  restart: 1012,
  /** The peer reads too slowly. */
  tooSlow: 1013,
  /** Another connection has the agent's identity. */
  idInUse: 4001,
} as const;

/** Why a hub refuses a socket, or closes it because of its peer, or learns that the transport did. */
export const SOCKET_REFUSALS = [
  'a binary frame',
  'a frame over the limit',
  'a frame that is not UTF-8',
  'blocked after invalid frames',
  'identify within the time',
  'internal error',
  'it broke the WebSocket protocol',
  'it reads frames too slowly',
  'more frames wait than may',
  'no sign of life',
  'the agent sends more frames or bytes than it may',
  'the hub rejoins',
  'the token has expired',
  'the token was revoked',
  'too many bytes before identify',
  'too many invalid frames',
  'too many unidentified connections',
  'try again later',
  'unidentified, and it reads frames too slowly',
  'unidentified, and its address has the most connections',
  'wait for identified',
] as const;
export type SocketRefusal = (typeof SOCKET_REFUSALS)[number];

/** The WebSocket protocol's bound for the reason in a close frame, bytes. */
const REASON_BYTES_MAX = 123;

/** As much of the reason as fits a close frame, cut between characters. */
export function closeReason(reason: string): string {
  if (utf8Bytes(reason) <= REASON_BYTES_MAX) return reason;
  let cut = '';
  for (const character of reason) {
    if (utf8Bytes(cut + character) > REASON_BYTES_MAX) break;
    cut += character;
  }
  return cut;
}
