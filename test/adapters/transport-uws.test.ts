import t from 'tap';
import { wsLink } from '../../adapters/link-ws/ws-link.ts';
import { uwsTransport } from '../../adapters/transport-uws/uws-transport.ts';
import { silentLog } from '../../core/ports/log.ts';
import { hubTransportContract } from '../contracts/hub-transport.contract.ts';
import { upgradeStatus } from './upgrade-status.ts';
import { withUws } from './uws-native.ts';

await withUws(t, 'the uws transport', async (native) => {
  await hubTransportContract(t, 'uws', {
    transport: () => uwsTransport({ log: silentLog, native }),
    link: wsLink({ log: silentLog }),
    fetch: (url, init) => fetch(url, init),
    upgradeStatus,
    onTcp: true,
    takesUnmasked: true,
  });
});
