// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Names for people, places and things.

/// (category, typical price in cents, noun, typical grams, return factor, day of the year of its season or -1)
pub(super) const TYPES: [(&str, i64, &str, i32, f64, i32); 12] = [
    ("Candles", 2200, "candle", 400, 0.5, 345),
    ("Ceramics", 3400, "bowl", 700, 0.9, -1),
    ("Tea", 1400, "tea", 120, 0.2, 15),
    ("Skin care", 2600, "cream", 150, 0.6, -1),
    ("Throws", 5900, "throw", 1100, 1.3, 350),
    ("Stationery", 1200, "notebook", 300, 0.4, 245),
    ("Lighting", 7900, "lamp", 1900, 1.2, -1),
    ("Garden", 2900, "planter", 1500, 0.8, 130),
    ("Bags", 6900, "bag", 800, 1.8, -1),
    ("Kitchen", 3900, "pan", 1300, 0.9, -1),
    ("Clothing", 4900, "jumper", 500, 2.6, 310),
    ("Glass", 1900, "carafe", 600, 0.9, 180),
];

pub(super) const ADJECTIVES: [&str; 16] = [
    "Amber", "Birch", "Coral", "Dune", "Ember", "Fern", "Grove", "Harbour", "Iris", "Juniper",
    "Linen", "Moss", "Nordic", "Olive", "Pebble", "Quartz",
];

pub(super) const VENDORS: [&str; 9] = [
    "Atelier Nord",
    "Belle Rive",
    "Casa Luz",
    "Dufour & Fils",
    "Esker",
    "Fabrica",
    "Grand Air",
    "Hemma",
    "Isola",
];

pub(super) const FIRST_NAMES: [&str; 40] = [
    "Adele", "Alice", "Amir", "Anna", "Antoine", "Bruno", "Camille", "Carla", "Chloe", "Clara",
    "David", "Elena", "Emma", "Eva", "Felix", "Hugo", "Ines", "Jonas", "Jules", "Julia", "Karim",
    "Laura", "Lea", "Lina", "Louis", "Lucas", "Luis", "Manon", "Maria", "Marie", "Max", "Mia",
    "Nina", "Noah", "Paul", "Rosa", "Sara", "Sofia", "Theo", "Yann",
];

pub(super) const LAST_NAMES: [&str; 40] = [
    "Bauer", "Bernard", "Blanc", "Bonnet", "Costa", "Dubois", "Dupont", "Durand", "Faure",
    "Ferrari", "Fischer", "Fournier", "Garcia", "Girard", "Janssens", "Keller", "Lambert",
    "Laurent", "Lefevre", "Leroy", "Lopez", "Martin", "Meyer", "Moreau", "Morel", "Muller",
    "Peeters", "Petit", "Renard", "Ricci", "Robert", "Rossi", "Roux", "Schmidt", "Silva", "Simon",
    "Thomas", "Vidal", "Vincent", "Weber",
];

/// (country, city, first postal code, weight)
pub(super) const CITIES: [(&str, &str, u32, f64); 20] = [
    ("FR", "Paris", 75_001, 20.0),
    ("FR", "Lyon", 69_001, 9.0),
    ("FR", "Marseille", 13_001, 8.0),
    ("FR", "Toulouse", 31_000, 6.0),
    ("FR", "Nantes", 44_000, 5.0),
    ("FR", "Bordeaux", 33_000, 5.0),
    ("FR", "Lille", 59_000, 5.0),
    ("FR", "Strasbourg", 67_000, 4.0),
    ("FR", "Rennes", 35_000, 4.0),
    ("FR", "Montpellier", 34_000, 4.0),
    ("BE", "Brussels", 1000, 6.0),
    ("BE", "Liege", 4000, 3.0),
    ("DE", "Berlin", 10_115, 5.0),
    ("DE", "Cologne", 50_667, 3.0),
    ("ES", "Madrid", 28_001, 4.0),
    ("ES", "Barcelona", 8001, 3.0),
    ("IT", "Milan", 20_121, 3.0),
    ("LU", "Luxembourg", 1111, 1.0),
    ("NL", "Amsterdam", 1011, 2.0),
    ("NL", "Utrecht", 3511, 1.0),
];

/// Tax in percent, and what the carrier takes in cents.
pub(super) fn country(code: &str) -> (i64, i64) {
    match code {
        "BE" => (21, 560),
        "DE" => (19, 620),
        "ES" => (21, 690),
        "IT" => (22, 690),
        "LU" => (17, 590),
        "NL" => (21, 580),
        _ => (20, 430),
    }
}

pub(super) const REASONS: [&str; 5] =
    ["wrong_size", "changed_mind", "damaged", "not_as_described", "late"];
pub(super) const DEVICES: [&str; 5] = ["mobile", "mobile", "mobile", "desktop", "tablet"];
