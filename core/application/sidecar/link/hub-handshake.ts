/**
 * The handshake: `hello`, the hub's `challenge`, `identify`. A hub that does not prove that it knows the token gets
 * neither the token nor the list of assignments.
 */
import { isEndOfRun } from '../../../domain/assignment/outbox.ts';
import { isSameAssignment } from '../../../domain/assignment/slot.ts';
import { PROTOCOL_VERSION } from '../../../protocol/fields.ts';
import type { HubFrameOf } from '../../../protocol/hub-frames.ts';
import { deviceText, hubProof, isSameProof, sealedToken, TOKEN_HINT_DIGITS, type Handshake } from '../../../protocol/proof.ts';
import type { HeldFrame } from '../../../protocol/sidecar-frames.ts';
import { TOKEN_RETRY_MS } from '../state/constants.ts';
import { checksForIdentify } from '../health/checks.ts';
import { onHubError, reconnectIn, urlOf } from './link.ts';
import type { SidecarInput } from '../state/inputs.ts';
import { frameIds } from '../state/state.ts';
import type { StepContext } from '../state/step-context.ts';

/** Errors from a hub that does not know `hello`. */
const HELLO_UNKNOWN: readonly string[] = ['not_identified', 'unknown_message_type'];

/** The socket is open: ask the hub to prove itself. */
export function onLinkUp(
  step: StepContext,
  { connectionId, nonce, token }: Omit<Extract<SidecarInput, { type: 'link_up' }>, 'type'>,
): void {
  if (connectionId !== step.state.link.connectionId || step.state.link.phase !== 'connecting') return;
  const { agentId, plainToken } = step.settings;
  if (token !== undefined) step.patchLink({ token });
  if (plainToken) return identify(step, { token: tokenOf(step) });
  step.patchLink({ phase: 'greeting', nonce });
  step.afterPersist({ type: 'send', frame: { type: 'hello', agent_id: agentId, token_hint: hintOf(keyOf(step)), nonce } });
}

/** Only the hub that issued the token, or another one on the same database, can compute this proof. */
export function onChallenge(step: StepContext, { nonce: hubNonce, proof }: HubFrameOf<'challenge'>): void {
  const { agentId, hmac } = step.settings;
  const key = keyOf(step);
  const handshake: Handshake = { agentId, tokenHint: hintOf(key), nonce: step.state.link.nonce, hubNonce };
  if (isSameProof(proof, hubProof(key, handshake, hmac)))
    return identify(step, { proof: sealedToken(tokenOf(step), key, handshake, hmac), ...deviceProof(step, handshake) });
  step.log(
    'error',
    `cannot identify: the hub at ${urlOf(step)} did not prove that it knows the token of agent "${agentId}". ` +
      'Either it is not the hub that issued the token (check its address: sidecar.hubs, or the hub of a worker), or the token is wrong or was revoked (ask an operator for a new one). ' +
      'The token was not sent',
    { retry_ms: TOKEN_RETRY_MS },
  );
  reconnectIn(step, TOKEN_RETRY_MS);
}

const deviceProof = ({ settings: { deviceKey } }: StepContext, handshake: Handshake) =>
  deviceKey === null ? {} : { device_key: deviceKey.publicKey, device_proof: deviceKey.sign(deviceText(handshake)) };

/** The hub answered `hello` with an error. */
export function onGreetingError(step: StepContext, frame: HubFrameOf<'error'>): void {
  if (!HELLO_UNKNOWN.includes(frame.error)) return onHubError(step, frame);
  step.log(
    'error',
    `cannot identify: the hub at ${urlOf(step)} does not know "hello" (${frame.error}), so it cannot prove that it knows the token ` +
      `of agent "${step.settings.agentId}": it is older than this sidecar, or not a hub. Check sidecar.hubs and update the hub; ` +
      'to send the token anyway, set sidecar.plainToken: true. The token was not sent',
    { retry_ms: TOKEN_RETRY_MS },
  );
  reconnectIn(step, TOKEN_RETRY_MS);
}

/** The token's hash, as the hub stores it. */
const keyOf = (step: StepContext): string => step.settings.sha256(tokenOf(step));
const tokenOf = ({ settings, state }: StepContext): string => state.link.token ?? settings.token;
const hintOf = (key: string): string => key.slice(0, TOKEN_HINT_DIGITS);

/** Sends this sidecar's identity and everything it holds. */
function identify(step: StepContext, known: { readonly token: string } | { readonly proof: string }): void {
  step.patchLink({ phase: 'identifying', timeRequestedAtMs: step.nowMs });
  const { agentId, name, capabilities, slots } = step.settings;
  step.afterPersist({
    type: 'send',
    frame: {
      type: 'identify',
      agent_id: agentId,
      ...known,
      name,
      status: step.state.journal.slots.length > 0 ? 'working' : 'idle',
      capabilities: [...capabilities],
      client_type: 'sidecar',
      protocol_version: PROTOCOL_VERSION,
      instance_id: step.state.instanceId,
      process_id: step.settings.processId,
      ...(step.settings.isVolatile ? { volatile: true } : {}),
      ...(step.settings.inProcess ? { in_process: true } : {}),
      slots,
      held: heldFrames(step),
      checks: checksForIdentify(step),
    },
  });
}

/**
 * The full inventory. An assignment whose run is still being looked up after a restart is sent with its previous
 * status: as `unknown` the hub would reclaim it, although the run may be alive.
 */
function heldFrames(step: StepContext): HeldFrame[] {
  const { slots, outbox } = step.state.journal;
  const reporting = outbox.filter((entry) => isEndOfRun(entry) && !slots.some((slot) => isSameAssignment(slot, entry)));
  const all = [...slots, ...reporting.map((entry) => ({ ...entry, status: 'reporting' as const }))];
  return all.map((held) => ({
    ...frameIds(held),
    status: held.status,
    assigned_at: held.assignedAtMs,
    ...(held.storeId === null ? {} : { store_id: held.storeId }),
  }));
}
