"""The calls about voices, of both clients: `Client` and `AsyncClient` have them."""

from collections.abc import Mapping, Sequence
from typing import Any

from csm.client import voices
from csm.client.answers import Sampling
from csm.client.unary import UNARY_TIMEOUT_S, Answer, Unary
from csm.client.voices import Voice, VoiceConsent, VoiceDetails, VoiceList, VoiceRecording
from csm.v1 import speech_pb2

CREATE_TIMEOUT_S = 120.0


class _VoiceAsking:
    """What is asked, alike by both."""

    _stub: Any

    def _listing(
        self, name_contains: str, language: str, page_size: int, token: str
    ) -> Unary[speech_pb2.ListVoicesResponse]:
        request = speech_pb2.ListVoicesRequest(
            page_size=page_size, page_token=token, name_contains=name_contains, language=language
        )
        return Unary(self._stub.ListVoices, request, lambda answer: answer)

    def _getting(self, name: str) -> Unary[VoiceDetails]:
        request = speech_pb2.GetVoiceRequest(name=name)
        return Unary(self._stub.GetVoice, request, VoiceDetails.from_proto)

    def _creating(
        self, name: str, recordings: Sequence[VoiceRecording], **config: Any
    ) -> Unary[VoiceDetails]:
        requests = voices.create_requests(name, recordings, **config)
        consent = config["consent"]

        def details(answer: speech_pb2.CreateVoiceResponse) -> VoiceDetails:
            made = VoiceDetails.from_proto(answer)
            return VoiceDetails(made.voice, made.recordings, consent)

        return Unary(self._stub.CreateVoice, requests, details)

    def _updating(self, name: str, **change: Any) -> Unary[Voice]:
        request = voices.update_request(name, **change)
        return Unary(self._stub.UpdateVoice, request, lambda answer: Voice.from_proto(answer.voice))

    def _deleting(self, name: str) -> Unary[None]:
        request = speech_pb2.DeleteVoiceRequest(name=name)
        return Unary(self._stub.DeleteVoice, request, lambda _: None)


class VoiceCalls(_VoiceAsking):
    """Of the blocking client."""

    def _unary(self, call: Unary[Answer], timeout_s: float) -> Answer:
        raise NotImplementedError

    def list_voices(
        self,
        *,
        name_contains: str = "",
        language: str = "",
        page_size: int = 0,
        timeout_s: float = UNARY_TIMEOUT_S,
    ) -> VoiceList:
        """All voices, or those whose name or an alias contains `name_contains`, and of `language`;
        and which is the default. Pages are followed; `timeout_s` is for each."""
        found: list[Voice] = []
        token = default = ""
        while True:
            page = self._unary(self._listing(name_contains, language, page_size, token), timeout_s)
            found += [Voice.from_proto(one) for one in page.voices]
            default, token = default or page.default_voice, page.next_page_token
            if not token:
                return VoiceList(tuple(found), default)

    def get_voice(self, name: str, *, timeout_s: float = UNARY_TIMEOUT_S) -> VoiceDetails:
        """A voice by name or alias, with what is known of its recordings. Raises `NotFound`."""
        return self._unary(self._getting(name), timeout_s)

    def create_voice(
        self,
        name: str,
        recordings: Sequence[VoiceRecording] = (),
        *,
        speaker: int | None = None,
        description: str = "",
        language: str = "",
        sampling: Sampling | None = None,
        consent: VoiceConsent | None = None,
        lexicon: Mapping[str, str] | None = None,
        validate_only: bool = False,
        timeout_s: float = CREATE_TIMEOUT_S,
    ) -> VoiceDetails:
        """Makes a voice of recordings, each a file and its words: `[(Path("a.wav"), "Hello.")]`.

        With `validate_only` all is checked and reported, and no voice is made. Raises
        `AlreadyExists`, `LimitReached`, and `InvalidArgument` about the recording at fault. It is
        not tried again: where the answer was lost the voice may have been made.
        """
        call = self._creating(
            name,
            recordings,
            speaker=speaker,
            description=description,
            language=language,
            sampling=sampling,
            consent=consent,
            lexicon=lexicon or {},
            validate_only=validate_only,
        )
        return self._unary(call, timeout_s)

    def update_voice(
        self,
        name: str,
        *,
        description: str | None = None,
        language: str | None = None,
        sampling: Sampling | None = None,
        consent: VoiceConsent | None = None,
        lexicon: Mapping[str, str] | None = None,
        timeout_s: float = UNARY_TIMEOUT_S,
    ) -> Voice:
        """Changes what is said of a voice that was created; None stays. Raises `NotFound`, and
        `FailedPrecondition` for a voice of the model's or the operator's."""
        call = self._updating(
            name,
            description=description,
            language=language,
            sampling=sampling,
            consent=consent,
            lexicon=lexicon,
        )
        return self._unary(call, timeout_s)

    def delete_voice(self, name: str, *, timeout_s: float = UNARY_TIMEOUT_S) -> None:
        """Forgets a voice that was created; calls that speak with it do so to their end. Raises as
        `update_voice` does."""
        self._unary(self._deleting(name), timeout_s)


class AsyncVoiceCalls(_VoiceAsking):
    """Of the client for asyncio; as `VoiceCalls`."""

    async def _unary(self, call: Unary[Answer], timeout_s: float) -> Answer:
        raise NotImplementedError

    async def list_voices(
        self,
        *,
        name_contains: str = "",
        language: str = "",
        page_size: int = 0,
        timeout_s: float = UNARY_TIMEOUT_S,
    ) -> VoiceList:
        """All voices, or those whose name or an alias contains `name_contains`, and of `language`;
        and which is the default. Pages are followed; `timeout_s` is for each."""
        found: list[Voice] = []
        token = default = ""
        while True:
            page = await self._unary(
                self._listing(name_contains, language, page_size, token), timeout_s
            )
            found += [Voice.from_proto(one) for one in page.voices]
            default, token = default or page.default_voice, page.next_page_token
            if not token:
                return VoiceList(tuple(found), default)

    async def get_voice(self, name: str, *, timeout_s: float = UNARY_TIMEOUT_S) -> VoiceDetails:
        """A voice by name or alias, with what is known of its recordings. Raises `NotFound`."""
        return await self._unary(self._getting(name), timeout_s)

    async def create_voice(
        self,
        name: str,
        recordings: Sequence[VoiceRecording] = (),
        *,
        speaker: int | None = None,
        description: str = "",
        language: str = "",
        sampling: Sampling | None = None,
        consent: VoiceConsent | None = None,
        lexicon: Mapping[str, str] | None = None,
        validate_only: bool = False,
        timeout_s: float = CREATE_TIMEOUT_S,
    ) -> VoiceDetails:
        """As `Client.create_voice`."""
        call = self._creating(
            name,
            recordings,
            speaker=speaker,
            description=description,
            language=language,
            sampling=sampling,
            consent=consent,
            lexicon=lexicon or {},
            validate_only=validate_only,
        )
        return await self._unary(call, timeout_s)

    async def update_voice(
        self,
        name: str,
        *,
        description: str | None = None,
        language: str | None = None,
        sampling: Sampling | None = None,
        consent: VoiceConsent | None = None,
        lexicon: Mapping[str, str] | None = None,
        timeout_s: float = UNARY_TIMEOUT_S,
    ) -> Voice:
        """As `Client.update_voice`."""
        call = self._updating(
            name,
            description=description,
            language=language,
            sampling=sampling,
            consent=consent,
            lexicon=lexicon,
        )
        return await self._unary(call, timeout_s)

    async def delete_voice(self, name: str, *, timeout_s: float = UNARY_TIMEOUT_S) -> None:
        """As `Client.delete_voice`."""
        await self._unary(self._deleting(name), timeout_s)
