/** Has a hub prove that it knows a sidecar's token, as the sidecar does: nothing of the token is sent, and nothing else is asked. */
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { wsLink } from '../../../adapters/link-ws/ws-link.ts';
import { silentLog } from '../../../core/ports/log.ts';
import { frameReader } from '../../../core/protocol/frame-reader.ts';
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
/** What a hub answers that does not know `hello`. */
const HELLO_UNKNOWN: readonly string[] = ['not_identified', 'unknown_message_type'];

/** Fails where the hub does not answer within `withinMs`, or has no time for it. */
export function proveHub({ url, agentId, token }: HubToProve, withinMs: number): Promise<HubProof> {
  const { hmac } = systemDigest();
  const { key, hello } = newHandshake(agentId, token);
  const read = frameReader<HubFrame>(hubSchemas);
  return new Promise<HubProof>((resolve, reject) => {
    const late = setTimeout(() => end(() => reject(new Error(`timeout: it said nothing within ${withinMs} ms`))), withinMs);
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
          const heard = read(text);
          if (heard.kind !== 'frame') return end(() => reject(new Error('it says what no hub says')));
          const { frame } = heard;
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
