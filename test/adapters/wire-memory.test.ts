import t from 'tap';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { memoryWire, type MemoryWire } from '../../adapters/wire-memory/memory-wire.ts';
import { hubLinkContract } from '../contracts/hub-link.contract.ts';
import { hubTransportContract } from '../contracts/hub-transport.contract.ts';

const upgradeStatus = (wire: MemoryWire, url: string, origin?: string): Promise<number> =>
  new Promise((resolve) => {
    const link = wire.link({ origin }).connect(
      { url, frameBytesMax: 1_000 },
      {
        onOpen: () => {
          link.destroy();
          resolve(101);
        },
        onFrame: () => undefined,
        onGone: (_, reason) => resolve(Number(/\d+$/.exec(reason)?.[0])),
      },
    );
  });

const wire = memoryWire({ clock: systemClock() });
await hubTransportContract(t, 'memory', {
  transport: () => wire.transport(),
  link: wire.link(),
  fetch: (url, init) => wire.fetch(url, init),
  upgradeStatus: (url, origin) => upgradeStatus(wire, url, origin),
  onTcp: false,
});
await hubLinkContract(t, 'memory', { transport: () => wire.transport(), link: wire.link() });
