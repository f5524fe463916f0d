"""Phone numbers to E.164, by Google's library: only numbers that can be assigned."""

from underdog.tasks.normalize.place import Place, library

PHONE = r"\+[1-9]\d{6,14}(;ext=\d{1,7})?"


def phones(text: str, place: Place) -> list[str]:
    """+79123456789, with ";ext=5" behind it where there is an extension (RFC 3966). Without "+" the region tells the
    country; where there is none, nothing is read."""
    lib = library("phonenumbers")
    try:
        number = lib.parse(text, place.region)
    except lib.NumberParseException:
        return []
    if not lib.is_valid_number(number):
        return []
    extension = f";ext={number.extension}" if number.extension else ""
    return [lib.format_number(number, lib.PhoneNumberFormat.E164) + extension]
