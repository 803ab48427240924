# A real SMTP server for tests, aiosmtpd: port 2587 with STARTTLS and a login, 2465 with TLS from the first byte, 2525 without
# either. Each mail that it takes is one line of JSON on stdout.
import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

certificate, key = sys.argv[1:3]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)


class Handler:
    async def handle_DATA(self, server, session, envelope):
        mail = {
            "port": session.host_name and server.transport.get_extra_info("sockname")[1],
            "tls": server.transport.get_extra_info("cipher") is not None,
            "login": session.auth_data and session.auth_data.decode(),
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "data": envelope.content.decode(),
        }
        print(json.dumps(mail), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    ok = data.login == b"me" and data.password == b"correct-horse"
    return AuthResult(success=ok, auth_data=data.login if ok else None, handled=ok)


def starttls():
    return SMTP(
        Handler(),
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=authenticate,
    )


async def main():
    loop = asyncio.get_running_loop()
    await loop.create_server(starttls, "0.0.0.0", 2587)
    await loop.create_server(lambda: SMTP(Handler()), "0.0.0.0", 2465, ssl=context)
    await loop.create_server(lambda: SMTP(Handler()), "0.0.0.0", 2525)
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
