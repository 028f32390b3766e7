/** The certificates that the hub makes itself. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import t from 'tap';
import { makeSelfSigned } from '../../../apps/tls/self-signed.ts';

const FROM_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

t.test('a certificate is valid for its names, addresses, time and key only', (t) => {
  const hosts = ['hub.example.org', 'localhost', '192.0.2.7', '::1', '2001:db8::5:0:1'];
  const { cert, key } = makeSelfSigned({ hosts, validFromMs: FROM_MS, validUntilMs: Date.UTC(2049, 11, 31) });
  const certificate = new X509Certificate(cert);
  t.equal(certificate.subject, 'CN=hub.example.org');
  for (const host of hosts) t.equal(certificate[host.match(/^[\d:]/) === null ? 'checkHost' : 'checkIP'](host), host);
  t.equal(certificate.checkHost('other.example.org'), undefined);
  t.equal(certificate.checkIP('192.0.2.8'), undefined);
  t.equal(Date.parse(certificate.validFrom), FROM_MS);
  t.equal(Date.parse(certificate.validTo), Date.UTC(2049, 11, 31));
  t.equal(certificate.ca, false);
  t.ok(certificate.verify(certificate.publicKey));
  t.ok(certificate.checkPrivateKey(createPrivateKey(key)));
  t.end();
});

t.test('years from 2050 on have four digits', (t) => {
  const { cert } = makeSelfSigned({ hosts: ['localhost'], validFromMs: FROM_MS, validUntilMs: Date.UTC(2050, 0, 1) });
  t.equal(Date.parse(new X509Certificate(cert).validTo), Date.UTC(2050, 0, 1));
  t.end();
});

t.test('lengths use the fewest bytes, as DER requires and BoringSSL checks', (t) => {
  for (let count = 1; count <= 60; count += 1) {
    const hosts = Array.from({ length: count }, (_, index) => `host-${index}.example.org`);
    const { cert, key } = makeSelfSigned({ hosts, validFromMs: FROM_MS, validUntilMs: Date.UTC(2049, 0, 1) });
    createSecureContext({ cert, key });
    const { raw } = new X509Certificate(cert);
    t.same(wordyLengths(raw), [], `${count} hosts`);
  }
  t.end();
});

/** Where in these elements a length has more bytes than it needs; constructed ones and extensions are opened. */
function wordyLengths(der: Buffer, from = 0, to = der.length): readonly number[] {
  const found: number[] = [];
  for (let at = from; at < to;) {
    const tag = der[at] ?? 0;
    const first = der[at + 1] ?? 0;
    const bytes = first < 0x80 ? 0 : first & 0x7f;
    const length = bytes === 0 ? first : der.readUIntBE(at + 2, bytes);
    if (bytes > 0 && (length < 0x80 || der[at + 2] === 0)) found.push(at);
    const start = at + 2 + bytes;
    if ((tag & 0x20) !== 0) found.push(...wordyLengths(der, start, start + length));
    at = start + length;
  }
  return found;
}
