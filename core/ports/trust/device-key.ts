/** The key of a sidecar's machine, with which it proves, in addition to its token, that it is that machine. */
export interface DeviceKey {
  /** An Ed25519 public key: 32 bytes, base64url. */
  readonly publicKey: string;
  /** Signs a text in UTF-8; 64 bytes, base64url. */
  sign(text: string): string;
}
