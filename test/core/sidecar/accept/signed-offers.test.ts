/** A sidecar that accepts signed tasks only: the signature is checked before anything is written or woken. */
import t from 'tap';
import type { SignatureVerdict } from '../../../../core/application/sidecar/state/inputs.ts';
import type { HubFrame } from '../../../../core/protocol/hub-frames.ts';
import { assignFrame, named, online, only, sent, TASK, words, type Stage } from '../rig/stage.ts';

const SIGNED = { requiresSignature: true } as const;
const TRUSTED: SignatureVerdict = { kind: 'trusted', signer: 'ops' };
const checked = (sidecar: Stage, signature: SignatureVerdict, frame: HubFrame = assignFrame()) =>
  sidecar.take({ type: 'frame', connectionId: sidecar.state.link.connectionId, frame, signature });

t.test('an offer is verified first, and accepted once it is trusted', async (t) => {
  const sidecar = online(SIGNED);
  const before = sidecar.state.journal;
  const effects = sidecar.frame(assignFrame(named(), { signature: 'a.b.c' }));
  t.same(words(effects), ['checkSignature']);
  t.match(only(effects, 'checkSignature'), [{ frame: { signature: 'a.b.c' }, connectionId: sidecar.state.link.connectionId }]);
  t.equal(sidecar.state.journal, before, 'nothing is journaled yet');
  t.same(words(checked(sidecar, TRUSTED)), ['persist', 'send task_accepted', 'prepare']);
  t.same(words(sidecar.frame(assignFrame())), ['send task_accepted'], 'and not verified again');
});

t.test('an untrusted task is rejected by policy; a failed verification is not blamed on the task', async (t) => {
  const sidecar = online(SIGNED);
  t.same(sent(checked(sidecar, { kind: 'untrusted', reason: 'the task is not signed' })), [
    { type: 'task_rejected', task_id: TASK, generation: 1, reason: 'the task is not signed', cause: 'policy' },
  ]);
  t.same(sent(checked(sidecar, { kind: 'unknown', reason: 'the disk is full' })), [
    { type: 'task_rejected', task_id: TASK, generation: 1, reason: 'the disk is full' },
  ]);
  t.same(sidecar.state.journal.slots, []);
});

t.test('every rule is applied again after the verification, since the state may have changed', async (t) => {
  const cancelled = online(SIGNED);
  cancelled.frame(assignFrame());
  cancelled.frame({ type: 'task_cancelled', task_id: TASK, generation: 1 });
  t.same(words(checked(cancelled, TRUSTED)), ['send task_cancel_ack'], 'it was cancelled');
  const cut = online(SIGNED);
  cut.frame(assignFrame());
  const { connectionId } = cut.state.link;
  cut.take({ type: 'link_down', connectionId, code: 1006, reason: '' });
  cut.timer('reconnect');
  t.same(
    words(cut.take({ type: 'frame', connectionId, frame: assignFrame(), signature: TRUSTED })),
    [],
    'it arrived on another connection',
  );
});

t.test('the hub cannot choose the session of a signed task', async (t) => {
  const sidecar = online(SIGNED);
  checked(sidecar, TRUSTED, assignFrame(named(), { session_id: 'other-session' }));
  t.equal(sidecar.slot()?.sessionId, undefined);
  const unsigned = online();
  unsigned.frame(assignFrame(named(), { session_id: 'own-session' }));
  t.equal(unsigned.slot()?.sessionId, 'own-session');
});
