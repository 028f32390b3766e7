/**
 * Makes a key and a self-signed certificate for it. Node signs and encodes keys, but writes no certificates; what remains is the structure
 * around them (RFC 5280), which is short for the one kind that a hub needs.
 */
import { createHash, generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { CertificatePair } from '../../core/ports/hub-transport.ts';

export interface SelfSigned {
  /** Names and addresses that it is for; at least one. */
  readonly hosts: readonly string[];
  /** Milliseconds since 1970. */
  readonly validFromMs: number;
  readonly validUntilMs: number;
}

/** With a new key on the curve P-256. */
export function makeSelfSigned({ hosts, validFromMs, validUntilMs }: SelfSigned): CertificatePair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const commonName = (hosts[0] ?? '').slice(0, COMMON_NAME_CHARACTERS_MAX);
  const name = sequence(set(sequence(COMMON_NAME, element(TAG.utf8, Buffer.from(commonName)))));
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const body = sequence(
    element(TAG.version, element(TAG.integer, Buffer.from([2]))),
    element(TAG.integer, positive(randomBytes(SERIAL_BYTES))),
    ECDSA_WITH_SHA256,
    name,
    sequence(time(validFromMs), time(validUntilMs)),
    name,
    spki,
    element(TAG.extensions, sequence(...extensions(hosts, keyIdentifier(spki)))),
  );
  const der = sequence(body, ECDSA_WITH_SHA256, bits(sign('sha256', body, privateKey)));
  return { cert: new X509Certificate(der).toString(), key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  sequence: 0x30,
  set: 0x31,
  utcTime: 0x17,
  generalizedTime: 0x18,
  version: 0xa0,
  extensions: 0xa3,
  dnsName: 0x82,
  ipAddress: 0x87,
  keyIdentifier: 0x80,
} as const;
const SERIAL_BYTES = 16;
const KEY_ID_BYTES = 20;
const COMMON_NAME_CHARACTERS_MAX = 64;
const LONG_LENGTH = 0x80;

function element(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < LONG_LENGTH) return Buffer.concat([Buffer.from([tag, length]), content]);
  // DER requires the fewest bytes.
  const hex = length.toString(16);
  const digits = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.from([tag, LONG_LENGTH + digits.length]), digits, content]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => element(TAG.sequence, Buffer.concat(parts));
const set = (...parts: readonly Buffer[]): Buffer => element(TAG.set, Buffer.concat(parts));
const octets = (content: Buffer): Buffer => element(TAG.octets, content);
/** A string of whole bytes: no bits of the last one are unused. */
const bits = (content: Buffer): Buffer => element(TAG.bits, Buffer.concat([Buffer.from([0]), content]));
const oid = (hex: string): Buffer => element(TAG.oid, Buffer.from(hex, 'hex'));
const TRUE = element(TAG.boolean, Buffer.from([0xff]));

const COMMON_NAME = oid('550403');
const ECDSA_WITH_SHA256 = sequence(oid('2a8648ce3d040302'));
const BASIC_CONSTRAINTS = oid('551d13');
const KEY_USAGE = oid('551d0f');
const EXTENDED_KEY_USAGE = oid('551d25');
const SUBJECT_KEY_IDENTIFIER = oid('551d0e');
const AUTHORITY_KEY_IDENTIFIER = oid('551d23');
const ALTERNATIVE_NAMES = oid('551d11');
const SERVER_AUTHENTICATION = oid('2b06010505070301');
/** The first bit of nine; the last seven of the byte are unused. */
const DIGITAL_SIGNATURE = element(TAG.bits, Buffer.from([7, 0x80]));

/** The key signs nothing but handshakes, and no other certificates. */
const extensions = (hosts: readonly string[], keyId: Buffer): readonly Buffer[] => [
  sequence(BASIC_CONSTRAINTS, TRUE, octets(sequence())),
  sequence(KEY_USAGE, TRUE, octets(DIGITAL_SIGNATURE)),
  sequence(EXTENDED_KEY_USAGE, octets(sequence(SERVER_AUTHENTICATION))),
  sequence(SUBJECT_KEY_IDENTIFIER, octets(octets(keyId))),
  sequence(AUTHORITY_KEY_IDENTIFIER, octets(sequence(element(TAG.keyIdentifier, keyId)))),
  sequence(ALTERNATIVE_NAMES, octets(sequence(...hosts.map(alternativeName)))),
];

/** Distinguishes certificates of the same name. */
const keyIdentifier = (spki: Buffer): Buffer => createHash('sha256').update(spki).digest().subarray(0, KEY_ID_BYTES);

const alternativeName = (host: string): Buffer =>
  isIP(host) === 0 ? element(TAG.dnsName, Buffer.from(host, 'latin1')) : element(TAG.ipAddress, addressBytes(host));

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  // `URL` gives it in its short form, without an IPv4 address in it.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const groups = (text: string): readonly string[] => text.split(':').filter((group) => group !== '');
  const [first, last] = [groups(head), groups(tail ?? '')];
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => '0');
  return Buffer.from([...first, ...zeros, ...last].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

/** A first bit of 1 would make the number negative, and a first byte of 0 would have to be left out. */
function positive(bytes: Buffer): Buffer {
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

/** Years before 2050 have two digits. */
function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '');
  const isLong = new Date(ms).getUTCFullYear() >= 2050;
  return element(isLong ? TAG.generalizedTime : TAG.utcTime, Buffer.from(isLong ? digits : digits.slice(2), 'latin1'));
}
