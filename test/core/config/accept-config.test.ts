import t from 'tap';
import { resolveConfig, type ConfigPlace } from '../../../core/config/resolve.ts';

const PLACE: ConfigPlace = { baseDir: '/etc/agentcom', absolute: (path) => (path.startsWith('/') ? path : `/etc/agentcom/${path}`) };
const resolved = (accept: unknown) => resolveConfig({ sidecar: { hubs: ['ws://127.0.0.1:4000/ws'], agentId: 'worker-1', accept } }, PLACE);

t.test('a policy keeps all its conditions', (t) => {
  const repos = ['https://example.org/acme/*'];
  const answer = resolved({ repos });
  t.match(answer.kind === 'resolved' && answer.config.sidecar?.accept.policy, { submitters: null, repos, maxRuntimeMs: null });
  t.end();
});

t.test('a policy that cannot hold, or is weaker than it looks, is refused', (t) => {
  const wrong = [
    { repos: ['https://example.org*'] },
    { repos: ['a*b'] },
    { repos: [] },
    { submitters: [''] },
    { maxRuntimeMs: 0 },
    { runners: ['command'] },
  ];
  for (const one of wrong) t.equal(resolved(one).kind, 'invalid', JSON.stringify(one));
  t.end();
});

t.test('a device key needs a hub that proves its identity', (t) => {
  const of = (over: object) =>
    resolveConfig({ sidecar: { hubs: ['ws://127.0.0.1:4000/ws'], agentId: 'worker-1', deviceKey: true, ...over } }, PLACE);
  t.equal(of({}).kind, 'resolved');
  t.match(of({ plainToken: true }), { kind: 'invalid', problems: [{ path: 'sidecar.deviceKey' }] });
  t.end();
});
