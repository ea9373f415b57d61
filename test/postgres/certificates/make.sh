#!/bin/sh
# Makes the certificates of the TLS tests anew, with a validity of a century. Needs openssl 3. Run it in this folder.
#
#   right-ca.crt, wrong-ca.crt    authorities; only the first one signs anything a client should trust
#   server.crt                    localhost, *.shop.test, 127.0.0.1, ::1
#   name.crt                      elsewhere.test only
#   common-name.crt               no subjectAltName; common name localhost
#   dns-address.crt               common name 127.0.0.1, subjectAltName DNS localhost: libpq accepts the address by the common name
#   expired.crt, revoked.crt      as said; revoked.crt is in right-ca.crl
#   stranger.crt                  localhost, signed by wrong-ca
#   client.crt                    common name certuser; client-encrypted.key has the passphrase "open sesame"
set -eu
rm -rf work && mkdir work && : >work/index.txt && : >work/index-wrong.txt && echo 1000 >work/serial && echo 1000 >work/crlnumber
cat >work/ca.conf <<'CONF'
[right]
dir = .
database = work/index.txt
serial = work/serial
crlnumber = work/crlnumber
new_certs_dir = work
certificate = right-ca.crt
private_key = work/right-ca.key
default_md = sha256
default_days = 36500
default_crl_days = 36500
policy = any
unique_subject = no
copy_extensions = copy
[wrong]
dir = .
database = work/index-wrong.txt
serial = work/serial
new_certs_dir = work
certificate = wrong-ca.crt
private_key = work/wrong-ca.key
default_md = sha256
default_days = 36500
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
CONF
for name in right wrong; do
  openssl ecparam -name prime256v1 -genkey -noout -out work/$name-ca.key
  openssl req -new -x509 -days 36500 -key work/$name-ca.key -subj "/CN=Trunkline test authority, $name" -out $name-ca.crt
done
# issue AUTHORITY NAME COMMON-NAME SUBJECT-ALT-NAME [openssl ca options]
issue() {
  authority=$1 name=$2 common=$3 alternative=$4
  shift 4
  openssl ecparam -name prime256v1 -genkey -noout -out work/$name.ec && openssl pkcs8 -topk8 -nocrypt -in work/$name.ec -out $name.key
  if [ -n "$alternative" ]; then set -- "$@" ; extra="-addext subjectAltName=$alternative"; else extra=; fi
  openssl req -new -key $name.key -subj "/CN=$common" $extra -out work/$name.csr
  openssl ca -batch -notext -config work/ca.conf -name $authority -in work/$name.csr -out $name.crt "$@"
}
issue right server db.shop.test "DNS:localhost,DNS:*.shop.test,IP:127.0.0.1,IP:::1"
issue right name elsewhere.test "DNS:elsewhere.test"
issue right common-name localhost ""
issue right dns-address 127.0.0.1 "DNS:localhost"
issue right expired db.shop.test "DNS:localhost,IP:127.0.0.1" -startdate 20200101000000Z -enddate 20200201000000Z
issue right revoked db.shop.test "DNS:localhost,IP:127.0.0.1"
issue wrong stranger db.shop.test "DNS:localhost,IP:127.0.0.1"
issue right client certuser ""
openssl pkcs8 -topk8 -v2 aes-256-cbc -in client.key -passout "pass:open sesame" -out client-encrypted.key
openssl ca -config work/ca.conf -name right -revoke revoked.crt
openssl ca -config work/ca.conf -name right -gencrl -out right-ca.crl
rm -rf work
