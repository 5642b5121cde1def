"""Words and prices of the two bistros. All invented: no such house, person or supplier exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: A product: name, English name, price with VAT, part of the day (m morning, l lunch, e evening, a any), unit.
Dish = tuple[str, str, float, str, str]


@dataclass(frozen=True)
class House:
    """The name of a bistro, and all texts in it."""

    name: str
    country: str
    zone: str
    currency: str
    taxes: tuple[int, ...]
    menu: Mapping[tuple[str, str, float, str], tuple[Dish, ...]]  # (category, English, VAT multiplier, colour)
    stock: tuple[tuple[str, float, str], ...]  # ingredients: name, purchase price, unit
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    streets: tuple[str, ...]
    city: str
    rooms: tuple[str, str]
    suppliers: tuple[str, ...]
    tags: tuple[str, ...]
    staff: tuple[str, ...]
    words: Mapping[str, str]


PRAGUE = House(
    name="Bistro Pod Lípou",
    country="CZ",
    zone="Europe/Prague",
    currency="CZK",
    taxes=(21, 12),
    menu={
        ("Káva", "Coffee", 1.21, "#795548"): (
            ("Espresso", "Espresso", 55, "m", "Piece"),
            ("Dvojité espresso", "Double espresso", 72, "m", "Piece"),
            ("Cappuccino", "Cappuccino", 74, "m", "Piece"),
            ("Flat white", "Flat white", 82, "m", "Piece"),
            ("Filtrovaná káva", "Filter coffee", 78, "m", "Piece"),
        ),
        ("Nápoje", "Soft drinks", 1.21, "#03A9F4"): (
            ("Domácí limonáda", "House lemonade", 79, "a", "Piece"),
            ("Kofola 0,4 l", "Kofola 0.4 l", 52, "a", "Piece"),
            ("Minerální voda", "Mineral water", 42, "a", "Piece"),
            ("Jablečný mošt", "Apple cider", 58, "a", "Piece"),
        ),
        ("Pivo a víno", "Beer and wine", 1.21, "#FFC107"): (
            ("Světlý ležák 0,5 l", "Pale lager 0.5 l", 62, "e", "Piece"),
            ("Polotmavý speciál 0,4 l", "Amber lager 0.4 l", 66, "e", "Piece"),
            ("Nealkoholické pivo", "Alcohol-free beer", 49, "e", "Piece"),
            ("Ryzlink vlašský 0,15 l", "Welschriesling 0.15 l", 85, "e", "Piece"),
            ("Frankovka 0,15 l", "Blaufränkisch 0.15 l", 85, "e", "Piece"),
        ),
        ("Polévky", "Soups", 1.12, "#FF5722"): (
            ("Hovězí vývar s nudlemi", "Beef broth with noodles", 68, "l", "Piece"),
            ("Kulajda", "Dill and mushroom soup", 79, "l", "Piece"),
            ("Česnečka", "Garlic soup", 65, "l", "Piece"),
        ),
        ("Hlavní jídla", "Mains", 1.12, "#4CAF50"): (
            ("Svíčková na smetaně", "Sirloin in cream sauce", 239, "l", "Piece"),
            ("Hovězí guláš, houskový knedlík", "Beef goulash with dumplings", 215, "l", "Piece"),
            ("Smažený sýr, hranolky", "Fried cheese with chips", 189, "l", "Piece"),
            ("Kuřecí řízek, bramborový salát", "Chicken schnitzel", 209, "e", "Piece"),
            ("Pečená kachna, zelí", "Roast duck with cabbage", 289, "e", "Piece"),
            ("Houbové rizoto", "Mushroom risotto", 195, "l", "Piece"),
            ("Burger s hranolky", "Burger with chips", 249, "e", "Piece"),
        ),
        ("Dezerty", "Desserts", 1.12, "#E91E63"): (
            ("Jablečný závin", "Apple strudel", 89, "a", "Piece"),
            ("Medovník", "Honey cake", 95, "a", "Piece"),
            ("Větrník", "Cream puff", 79, "m", "Piece"),
        ),
        ("Na váhu", "By weight", 1.12, "#9C27B0"): (
            ("Salátový bar", "Salad bar", 349, "l", "Kilogram"),
            ("Zrnková káva", "Coffee beans", 890, "a", "Kilogram"),
        ),
    },
    stock=(
        ("Káva zrnková", 420.0, "Kilogram"),
        ("Mléko", 19.5, "Liter"),
        ("Hovězí zadní", 289.0, "Kilogram"),
        ("Mouka hladká", 14.9, "Kilogram"),
        ("Brambory", 16.0, "Kilogram"),
    ),
    first_names=("Jana", "Petr", "Lucie", "Tomáš", "Šárka", "Ondřej", "Žaneta", "Řehoř", "Alžběta", "Vojtěch"),
    last_names=("Novotný-Zkušební", "Ukázková", "Příkladný", "Vzorková", "Testovský", "Pokusná", "Smyšlený"),
    streets=("Lipová", "Smyšlená", "Ukázková", "U Zkoušky", "Na Příkladu"),
    city="Praha",
    rooms=("Sál", "Zahrádka"),
    suppliers=("Pražírna Příklad s.r.o.", "Zelenina Vzorek a.s.", "Pivovar Ukázka"),
    tags=("vegetariánské", "bezlepkové", "pálivé", "novinka"),
    staff=("Adéla Směnová", "Bořek Výčepní", "Cyril Kuchařský", "Dáša Plácková"),
    words={
        "receipt": "ÚČTENKA",
        "total": "CELKEM",
        "thanks": "Děkujeme za návštěvu",
        "warehouse": "Hlavní sklad",
        "course": "Chod",
        "staff": "Zaměstnanci",
        "regulars": "Štamgasti",
        "menu": "Polední menu",
        "milk": "Mléko do kávy",
        "register": "Pokladna 1",
    },
)

KRAKOW = House(
    name="Bistro Pod Gołębiem",
    country="PL",
    zone="Europe/Warsaw",
    currency="PLN",
    taxes=(23, 8, 5),
    menu={
        ("Kawa", "Coffee", 1.23, "#795548"): (
            ("Espresso", "Espresso", 10, "m", "Piece"),
            ("Podwójne espresso", "Double espresso", 13, "m", "Piece"),
            ("Cappuccino", "Cappuccino", 16, "m", "Piece"),
            ("Kawa z mlekiem", "Milk coffee", 15, "m", "Piece"),
            ("Kawa przelewowa", "Filter coffee", 14.5, "m", "Piece"),
        ),
        ("Napoje", "Soft drinks", 1.23, "#03A9F4"): (
            ("Lemoniada domowa", "House lemonade", 17, "a", "Piece"),
            ("Kompot z wiśni", "Cherry kompot", 11, "a", "Piece"),
            ("Woda mineralna", "Mineral water", 8.5, "a", "Piece"),
            ("Sok z czarnej porzeczki", "Blackcurrant juice", 13, "a", "Piece"),
        ),
        ("Piwo i wino", "Beer and wine", 1.23, "#FFC107"): (
            ("Piwo jasne 0,5 l", "Lager 0.5 l", 16, "e", "Piece"),
            ("Piwo pszeniczne 0,5 l", "Wheat beer 0.5 l", 18, "e", "Piece"),
            ("Piwo bezalkoholowe", "Alcohol-free beer", 14, "e", "Piece"),
            ("Wino białe 0,15 l", "White wine 0.15 l", 22, "e", "Piece"),
        ),
        ("Zupy", "Soups", 1.08, "#FF5722"): (
            ("Żurek z jajkiem", "Sour rye soup with egg", 21, "l", "Piece"),
            ("Barszcz czerwony z uszkami", "Beetroot soup with dumplings", 19, "l", "Piece"),
            ("Rosół z makaronem", "Chicken broth with noodles", 17, "l", "Piece"),
        ),
        ("Dania główne", "Mains", 1.08, "#4CAF50"): (
            ("Pierogi ruskie (8 szt.)", "Pierogi with potato and cheese", 32, "l", "Piece"),
            ("Kotlet schabowy z ziemniakami", "Breaded pork cutlet", 42, "l", "Piece"),
            ("Gołąbki w sosie pomidorowym", "Cabbage rolls", 36, "l", "Piece"),
            ("Bigos staropolski", "Hunter's stew", 34, "e", "Piece"),
            ("Placki ziemniaczane z gulaszem", "Potato pancakes with goulash", 39, "e", "Piece"),
            ("Łosoś z kaszą", "Salmon with groats", 56, "e", "Piece"),
        ),
        ("Desery", "Desserts", 1.08, "#E91E63"): (
            ("Szarlotka", "Apple cake", 18, "a", "Piece"),
            ("Sernik krakowski", "Kraków cheesecake", 19, "a", "Piece"),
            ("Pączek z różą", "Doughnut with rose jam", 9, "m", "Piece"),
        ),
        ("Na wagę", "By weight", 1.05, "#9C27B0"): (
            ("Pierogi na wagę", "Pierogi by weight", 46, "a", "Kilogram"),
            ("Chleb na zakwasie", "Sourdough bread", 18, "m", "Kilogram"),
        ),
    },
    stock=(
        ("Kawa ziarnista", 78.0, "Kilogram"),
        ("Mleko", 3.4, "Liter"),
        ("Schab", 24.5, "Kilogram"),
        ("Mąka pszenna", 2.9, "Kilogram"),
        ("Ziemniaki", 2.2, "Kilogram"),
    ),
    first_names=("Zofia", "Łukasz", "Małgorzata", "Paweł", "Grażyna", "Wojciech", "Jadwiga", "Święcisław"),
    last_names=("Przykładowa", "Testowski", "Zmyślona", "Próbny", "Wzorcowa", "Fikcyjny"),
    streets=("Przykładowa", "Zmyślona", "Próbna", "Wzorcowa"),
    city="Kraków",
    rooms=("Sala", "Ogródek"),
    suppliers=("Palarnia Przykład sp. z o.o.", "Warzywa Wzór", "Browar Próba"),
    tags=("wegetariańskie", "bezglutenowe", "ostre", "nowość"),
    staff=("Ala Zmianowa", "Błażej Barowy", "Cezary Kuchenny", "Dorota Kasowa"),
    words={
        "receipt": "PARAGON",
        "total": "SUMA",
        "thanks": "Dziękujemy za wizytę",
        "warehouse": "Magazyn główny",
        "course": "Danie",
        "staff": "Pracownicy",
        "regulars": "Stali goście",
        "menu": "Menu lunchowe",
        "milk": "Mleko do kawy",
        "register": "Kasa 1",
    },
)

#: The houses of the two clouds that the sandbox's token may use.
HOUSES = (PRAGUE, KRAKOW)
