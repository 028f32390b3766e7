/** Has a hub prove that it knows a sidecar's token, as the sidecar does. No part of the token is sent. */
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { wsLink } from '../../../adapters/link-ws/ws-link.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { frameParser } from '../../../core/protocol/frame-parser.ts';
import { hubSchemas, type HubFrame } from '../../../core/protocol/hub-frames.ts';
import { hubProof, isSameProof } from '../../../core/protocol/proof.ts';
import { newHandshake } from '../../handshake.ts';

/** `older`: it does not know `hello`. */
export type HubProof = 'proved' | 'not_proved' | 'older';

export interface HubToProve {
  /** `ws://…` or `wss://…` */
  readonly url: string;
  readonly agentId: string;
  readonly token: string;
}

const FRAME_BYTES_MAX = 65_536;
/** The answer of a hub that does not know `hello`. */
const HELLO_UNKNOWN: readonly string[] = ['not_identified', 'unknown_message_type'];

/** Fails if the hub does not answer within `withinMs`, or is too busy. */
export function proveHub({ url, agentId, token }: HubToProve, withinMs: number): Promise<HubProof> {
  const { hmac } = systemDigest();
  const { key, hello } = newHandshake(agentId, token);
  const parseFrame = frameParser<HubFrame>(hubSchemas);
  return new Promise<HubProof>((resolve, reject) => {
    const late = setTimeout(() => end(() => reject(new Error(`no answer within ${withinMs} ms`))), withinMs);
    const end = (answer: () => void): void => {
      clearTimeout(late);
      connection.destroy();
      answer();
    };
    const connection = wsLink({ log: silentLog, handshakeMs: withinMs }).connect(
      { url, frameBytesMax: FRAME_BYTES_MAX },
      {
        onOpen: () =>
          void connection.send(JSON.stringify({ type: 'hello', agent_id: agentId, token_hint: hello.tokenHint, nonce: hello.nonce })),
        onFrame(text) {
          const parsed = parseFrame(text);
          if (parsed.kind !== 'frame') return end(() => reject(new Error('it does not speak the protocol of a hub')));
          const { frame } = parsed;
          if (frame.type === 'challenge') {
            const wanted = hubProof(key, { ...hello, hubNonce: frame.nonce }, hmac);
            return end(() => resolve(isSameProof(frame.proof, wanted) ? 'proved' : 'not_proved'));
          }
          if (frame.type !== 'error') return;
          if (HELLO_UNKNOWN.includes(frame.error)) return end(() => resolve('older'));
          end(() => reject(new Error(`it answers with ${frame.error}`)));
        },
        onTaken: () => undefined,
        onGone: (code, reason) => end(() => reject(new Error(reason === '' ? `it closed the connection (${code})` : reason))),
      },
    );
  });
}
